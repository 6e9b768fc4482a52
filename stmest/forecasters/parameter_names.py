"""What a parameter that a forecaster does not have was meant to be.

Used by the constructors and `set_params` of both APIs. Builds on the standard library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["explain_unknown"]

# Our parameter, and what other libraries call it (in small letters, without underscores; "num" and "n" in front do not count).
# Where two parameters have the same other name, the first one that the forecaster has is meant.
_ELSEWHERE = {
    "input_length": "lookback lookbacklength lookbackwindow window windowsize windowlength inputwindow inputsize inputsteps "
    "inputchunklength inputlen seqlen seqlength sequencelength contextlength encoderlength maxencoderlength history "
    "lags maxlags lag historylength past paststeps",
    "horizon": "horizons fh forecasthorizon forecastlength forecaststeps predlen predlength predictionlength predictionhorizon "
    "maxpredictionlength outputlength outputsize outputchunklength outputsteps outlen steps stepsahead ahead h",
    "season": "seasonlength seasonality seasonalperiod seasonalperiods period periods sp cycle m",
    "seasonal_profile": "seasonlength seasonality seasonal seasonalperiod seasonalperiods season period periods sp cycle "
    "climatology profile",
    "n_seasons": "seasons windowsize window windowlength",
    "learning_rate": "lr eta stepsize learningrateinit initiallr maxlr",
    "max_epochs": "epochs epoch iter maxiter iterations maxsteps trainingsteps iters",
    "batch_size": "batch bs batches minibatch minibatchsize trainbatchsize",
    "random_state": "seed randomseed rng rngseed",
    "device": "gpu gpus cuda usegpu usecuda accelerator devices",
    "d_model": "hidden hiddensize hiddendim hiddenunits hiddenwidth hiddenchannels dhidden dim modeldim dimmodel "
    "embeddim embeddingdim units width",
    "width": "hidden hiddensize hiddendim hiddenunits hiddenchannels dmodel dim",
    "channels": "hidden hiddensize hiddendim hiddenchannels width dmodel dim",
    "n_heads": "heads head nhead attentionheads",
    "n_layers": "layers layer numlayer depth blocks",
    "depth": "layers layer blocks levels",
    "n_experts": "experts expert moe",
    "dropout": "dropoutrate dropoutp pdropout drop droprate",
    "weight_decay": "wd l2 decay regularization",
    "grad_clip": "clip clipping gradclipping gradclipnorm gradientclip gradientclipping gradientclipval maxgradnorm clipnorm",
    "loss": "lossfn lossfunction criterion objective",
    "lr_schedule": "scheduler lrscheduler schedule learningrateschedule",
    "validation_fraction": "valfraction valsize valsplit validationsize validationsplit valratio",
    "patience": "earlystopping earlystoppingpatience earlystoppingrounds iternochange earlystop",
    "scaler": "scaling scale normalize normalise normalization standardize standardise",
    "n_members": "members estimators ensemble ensemblesize models",
    "time_features": "calendar calendarfeatures datefeatures timestampfeatures holidays timeencoding",
    "adj": "adjacency adjacencymatrix adjmatrix adjmx graph edgeindex edges",
    "target": "targets targetcol targetcolumn targetcolumns y outputs outputfeatures label labels",
    "alpha": "alphas lambda lambd penalty l2 regularization ridge",
    "neighbours": "neighbors neighbour neighbor",
    "per_node": "individual pernodes perseries",
    "estimator": "regressor model baseestimator learner base",
    "forecasters": "models estimators members",
    "checkpoint_dir": "checkpoint checkpoints checkpointpath ckpt ckptdir savedir",
    "precision": "amp mixedprecision fp16 bf16",
    "verbose": "verbosity progress progressbar showprogress",
}


def explain_unknown(owner: str, parameter: str, known: Iterable[str]) -> str:
    """The message for a parameter that does not exist.

    Parameters
    ----------
    owner : str
        Name of the class.
    parameter : str
        What was given.
    known : iterable of str
        Names of the parameters that the class has.

    Returns
    -------
    str
        With the parameter that was most likely meant: what other libraries call so, else the nearest name; else with all.

    Examples
    --------
    >>> explain_unknown("STIDForecaster", "epochs", ["max_epochs", "patience"])
    "STIDForecaster has no parameter 'epochs'; did you mean 'max_epochs'?"
    """
    known = list(known)
    meant = _meant(parameter, known) or next(iter(difflib.get_close_matches(parameter, known, n=1)), None)
    hint = f"it has {', '.join(known)}." if meant is None else f"did you mean {meant!r}?"
    return f"{owner} has no parameter {parameter!r}; {hint}"


def _meant(parameter: str, known: list[str]) -> str | None:
    """The parameter that other libraries call so, where the class has one."""
    bare = parameter.lower().replace("_", "")
    spellings = {bare, bare.removeprefix("num"), bare.removeprefix("n")}
    for ours, elsewhere in _ELSEWHERE.items():
        if ours in known and spellings & {ours.replace("_", ""), *elsewhere.split()}:
            return ours
    return None
