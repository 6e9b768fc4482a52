// What a C++ programmer with GCC's vector extension would write: the rival of the numba kernels in speed_scan.py.
// Single-threaded, float32, contiguous (b, t, d); d a multiple of LANES, s a multiple of BLOCK. Vectors run over channels,
// states go four at a time, time in chunks of CHUNK steps whose states the backward pass recomputes.
#include <cmath>
#include <cstring>
#include <vector>
#if defined(__AVX512F__)
#include <immintrin.h>
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
constexpr int BLOCK = 4, CHUNK = 16;
constexpr float LOG2E = 1.44269504f, LN2 = 0.69314718f;
typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int ivec __attribute__((vector_size(4 * LANES)));

static inline vec load(const float* p) { vec v; std::memcpy(&v, p, sizeof v); return v; }
static inline void store(float* p, vec v) { std::memcpy(p, &v, sizeof v); }

static inline vec exp2v(vec x) {
  x = x < -126.f ? vec{} - 126.f : x;
#if defined(__AVX512F__)
  vec n = (vec)_mm512_roundscale_ps((__m512)x, 8);
#else
  vec n = (x + 12582912.f) - 12582912.f;
#endif
  vec f = x - n;
  vec p = f * 1.32647e-3f + 9.67151e-3f;
  p = p * f + 5.550734e-2f;
  p = p * f + 2.4022242e-1f;
  p = p * f + 6.9314698e-1f;
  p = p * f + 1.f;
#if defined(__AVX512F__)
  return (vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return (vec)((ivec)p + (__builtin_convertvector(n, ivec) << 23));
#endif
}
static inline vec sigmoid(vec x) { return 1.f / (1.f + exp2v(x * -LOG2E)); }
static inline vec softplus(vec x) {
  vec y = exp2v((x < 0.f ? x : -x) * LOG2E), r = y / (y + 2.f), q = r * r;
  vec p = q * (1.f / 15) + 1.f / 13;
  p = p * q + 1.f / 11; p = p * q + 1.f / 9; p = p * q + 1.f / 7; p = p * q + 1.f / 5; p = p * q + 1.f / 3; p = p * q + 1.f;
  return (x > 0.f ? x : vec{}) + 2.f * r * p;
}
static inline float sum(vec v) { float s = 0; for (int i = 0; i < LANES; i++) s += v[i]; return s; }

// rates as vectors (tile, state), with the factor of 2**x
static std::vector<vec> pack(const float* A, long d, long s) {
  std::vector<vec> packed(d / LANES * s);
  for (long c = 0; c < d; c++) for (long n = 0; n < s; n++) packed[c / LANES * s + n][c % LANES] = A[c * s + n] * LOG2E;
  return packed;
}

extern "C" void scan_forward(long b, long t, long d, long s, const float* x, const float* delta, const float* A, const float* B,
                             const float* C, const float* D, const float* z, const float* bias, float* y, float* starts) {
  const long n_chunks = (t + CHUNK - 1) / CHUNK, n_tiles = d / LANES;
  std::vector<vec> rates = pack(A, d, s), state(s);
  vec step[CHUNK], drive[CHUNK], out[CHUNK];
  for (long i = 0; i < b; i++) for (long tile = 0; tile < n_tiles; tile++) {
    std::fill(state.begin(), state.end(), vec{});
    for (long c = 0; c < n_chunks; c++) {
      const long t0 = c * CHUNK, at = (i * t + t0) * d + tile * LANES;
      const int k = t - t0 < CHUNK ? t - t0 : CHUNK;
      std::memcpy(starts + ((i * n_chunks + c) * n_tiles + tile) * s * LANES, state.data(), s * sizeof(vec));
      for (int j = 0; j < k; j++) {
        vec v = load(x + at + j * d);
        step[j] = softplus(load(delta + at + j * d) + load(bias + tile * LANES));
        drive[j] = step[j] * v;
        out[j] = load(D + tile * LANES) * v;
      }
      for (long n = 0; n < s; n += BLOCK) {
        vec h[BLOCK], a[BLOCK];
        for (int m = 0; m < BLOCK; m++) { h[m] = state[n + m]; a[m] = rates[tile * s + n + m]; }
        for (int j = 0; j < k; j++) {
          const float *bp = B + (i * t + t0 + j) * s + n, *cp = C + (i * t + t0 + j) * s + n;
          vec total = out[j];
          for (int m = 0; m < BLOCK; m++) { h[m] = exp2v(step[j] * a[m]) * h[m] + drive[j] * bp[m]; total += h[m] * cp[m]; }
          out[j] = total;
        }
        for (int m = 0; m < BLOCK; m++) state[n + m] = h[m];
      }
      for (int j = 0; j < k; j++) { vec g = load(z + at + j * d); store(y + at + j * d, out[j] * g * sigmoid(g)); }
    }
  }
}

extern "C" void scan_backward(long b, long t, long d, long s, const float* x, const float* delta, const float* A, const float* B,
                              const float* C, const float* D, const float* z, const float* bias, const float* starts,
                              const float* gy, float* dx, float* ddelta, float* dA, float* dB, float* dC, float* dD, float* dz,
                              float* dbias) {
  const long n_chunks = (t + CHUNK - 1) / CHUNK, n_tiles = d / LANES;
  std::vector<vec> rates = pack(A, d, s), flow(n_tiles * s), d_rates(n_tiles * s), dBv(CHUNK * s), dCv(CHUNK * s);
  std::vector<vec> d_skip(n_tiles), d_offset(n_tiles);
  vec step[CHUNK], drive[CHUNK], out[CHUNK], g[CHUNK], slope[CHUNK], q1[CHUNK], q2[CHUNK];
  vec decay[CHUNK][BLOCK], hist[CHUNK + 1][BLOCK];
  for (long i = 0; i < b; i++) {
    std::fill(flow.begin(), flow.end(), vec{});
    for (long c = n_chunks - 1; c >= 0; c--) {
      const long t0 = c * CHUNK;
      const int k = t - t0 < CHUNK ? t - t0 : CHUNK;
      std::fill(dBv.begin(), dBv.end(), vec{});
      std::fill(dCv.begin(), dCv.end(), vec{});
      for (long tile = 0; tile < n_tiles; tile++) {
        const long at = (i * t + t0) * d + tile * LANES;
        const vec skip = load(D + tile * LANES), offset = load(bias + tile * LANES);
        for (int j = 0; j < k; j++) {
          vec v = load(x + at + j * d), gate = load(z + at + j * d), open = sigmoid(gate), up = load(gy + at + j * d);
          slope[j] = up * open * (1.f + gate * (1.f - open));
          g[j] = up * gate * open;
          step[j] = softplus(load(delta + at + j * d) + offset);
          drive[j] = step[j] * v;
          out[j] = skip * v;
          q1[j] = q2[j] = vec{};
          d_skip[tile] += g[j] * v;
        }
        for (long n = 0; n < s; n += BLOCK) {
          const float* start = starts + (((i * n_chunks + c) * n_tiles + tile) * s + n) * LANES;
          vec a[BLOCK], f[BLOCK], da[BLOCK];
          for (int m = 0; m < BLOCK; m++) {
            a[m] = rates[tile * s + n + m];
            f[m] = flow[tile * s + n + m];
            da[m] = d_rates[tile * s + n + m];
            hist[0][m] = load(start + m * LANES);
          }
          for (int j = 0; j < k; j++) {
            const float *bp = B + (i * t + t0 + j) * s + n, *cp = C + (i * t + t0 + j) * s + n;
            for (int m = 0; m < BLOCK; m++) {
              decay[j][m] = exp2v(step[j] * a[m]);
              hist[j + 1][m] = decay[j][m] * hist[j][m] + drive[j] * bp[m];
              out[j] += hist[j + 1][m] * cp[m];
            }
          }
          for (int j = k - 1; j >= 0; j--) {
            const float *bp = B + (i * t + t0 + j) * s + n, *cp = C + (i * t + t0 + j) * s + n;
            for (int m = 0; m < BLOCK; m++) {
              f[m] += g[j] * cp[m];
              dCv[j * s + n + m] += g[j] * hist[j + 1][m];
              dBv[j * s + n + m] += f[m] * drive[j];
              q1[j] += f[m] * bp[m];
              f[m] *= decay[j][m];
              vec w = f[m] * hist[j][m];
              q2[j] += w * a[m];
              da[m] += w * step[j];
            }
          }
          for (int m = 0; m < BLOCK; m++) { flow[tile * s + n + m] = f[m]; d_rates[tile * s + n + m] = da[m]; }
        }
        for (int j = 0; j < k; j++) {
          vec v = load(x + at + j * d), w = (v * q1[j] + q2[j] * LN2) * sigmoid(load(delta + at + j * d) + offset);
          d_offset[tile] += w;
          store(ddelta + at + j * d, w);
          store(dx + at + j * d, step[j] * q1[j] + skip * g[j]);
          store(dz + at + j * d, slope[j] * out[j]);
        }
      }
      for (int j = 0; j < k; j++) for (long n = 0; n < s; n++) {
        dB[(i * t + t0 + j) * s + n] = sum(dBv[j * s + n]);
        dC[(i * t + t0 + j) * s + n] = sum(dCv[j * s + n]);
      }
    }
  }
  for (long c = 0; c < d; c++) {
    for (long n = 0; n < s; n++) dA[c * s + n] = d_rates[c / LANES * s + n][c % LANES];
    dD[c] = d_skip[c / LANES][c % LANES];
    dbias[c] = d_offset[c / LANES][c % LANES];
  }
}
