"""What is collected: `triton_interpreted` needs a process of its own, which ``test_triton`` starts."""

import os

collect_ignore = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["triton_interpreted.py"]
