"""Ordinary CUDA kernels, by name, as a person writes them: nothing clever, no headers."""

HALF = """
#define INFINITY __int_as_float(0x7f800000)
__device__ float from_bf16(unsigned short v) { return __uint_as_float((unsigned)v << 16); }
__device__ unsigned short to_bf16(float v) {
  const unsigned bits = __float_as_uint(v);
  return v != v ? 0x7fc0 : (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
__device__ float warp_sum(float v) {
  for (int mask = 16; mask > 0; mask /= 2) v += __shfl_xor_sync(0xffffffffu, v, mask);
  return v;
}
__device__ float warp_max(float v) {
  for (int mask = 16; mask > 0; mask /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, mask));
  return v;
}
__device__ float block_sum(float v, float* shared) {
  v = warp_sum(v);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = v;
  __syncthreads();
  return warp_sum(threadIdx.x % 32 < blockDim.x / 32 ? shared[threadIdx.x % 32] : 0.0f);
}
"""

ELEMENTWISE = """
extern "C" __global__ void __launch_bounds__(256) {name}({parameters}, long long n) {{
  const long long i = blockIdx.x * 256LL + threadIdx.x;
  if (i < n) {{ {body} }}
}}
"""

ROWS = """
extern "C" __global__ void __launch_bounds__(256) {name}(float* y, const float* x, long long n) {{
  __shared__ float shared[2][32];
  const float* row = x + blockIdx.x * n;
  float* out = y + blockIdx.x * n;
  {body}
}}
"""

TILED_MATMUL = """
extern "C" __global__ void __launch_bounds__(256)
tiled_matmul(float* c, const float* a, const float* b, int m, int n, int k) {
  __shared__ float tile_a[16][64 + 1], tile_b[16][64];
  const int row = blockIdx.y * 64, column = blockIdx.x * 64;
  const int tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  float sum[4][4] = {};
  for (int start = 0; start < k; start += 16) {
    for (int i = threadIdx.x; i < 64 * 16; i += 256) {
      const int r = row + i / 16, s = start + i % 16;
      tile_a[i % 16][i / 16] = r < m && s < k ? a[(long long)r * k + s] : 0.0f;
    }
    for (int i = threadIdx.x; i < 16 * 64; i += 256) {
      const int s = start + i / 64, q = column + i % 64;
      tile_b[i / 64][i % 64] = s < k && q < n ? b[(long long)s * n + q] : 0.0f;
    }
    __syncthreads();
#pragma unroll
    for (int s = 0; s < 16; ++s) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          sum[i][j] = __fmaf_rn(tile_a[s][ty * 4 + i], tile_b[s][tx * 4 + j], sum[i][j]);
        }
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int r = row + ty * 4 + i, q = column + tx * 4 + j;
      if (r < m && q < n) c[(long long)r * n + q] = sum[i][j];
    }
  }
}
"""

NAIVE_MATMUL = """
extern "C" __global__ void __launch_bounds__(256)
naive_matmul(float* c, const float* a, const float* b, int m, int n, int k) {
  const int row = blockIdx.y * 16 + threadIdx.x / 16, column = blockIdx.x * 16 + threadIdx.x % 16;
  if (row >= m || column >= n) return;
  float sum = 0.0f;
  for (int s = 0; s < k; ++s) {
    sum = __fmaf_rn(a[(long long)row * k + s], b[(long long)s * n + column], sum);
  }
  c[(long long)row * n + column] = sum;
}
"""

# A warp computes 32 x 32 of a product of bfloat16 by mma.sync, from shared memory.
MMA_MATMUL = """
extern "C" __global__ void __launch_bounds__(128)
mma_matmul(float* c, const unsigned short* a, const unsigned short* b, int n, int k) {
  __shared__ __align__(16) unsigned short tile_a[64][32 + 8], tile_b[64][32 + 8];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int row = blockIdx.y * 64, column = blockIdx.x * 64;
  float sum[2][4][4] = {};
  for (int start = 0; start < k; start += 32) {
    for (int i = threadIdx.x; i < 64 * 4; i += 128) {
      const int r = i / 4, q = i % 4 * 8;
      *(uint4*)&tile_a[r][q] = *(const uint4*)&a[(row + r) * (long long)k + start + q];
      *(uint4*)&tile_b[r][q] = *(const uint4*)&b[(column + r) * (long long)k + start + q];
    }
    __syncthreads();
#pragma unroll
    for (int s = 0; s < 32; s += 16) {
      unsigned left[2][4], right[4][2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int r = warp / 2 * 32 + i * 16 + lane / 4, q = s + lane % 4 * 2;
        left[i][0] = *(const unsigned*)&tile_a[r][q];
        left[i][1] = *(const unsigned*)&tile_a[r + 8][q];
        left[i][2] = *(const unsigned*)&tile_a[r][q + 8];
        left[i][3] = *(const unsigned*)&tile_a[r + 8][q + 8];
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int r = warp % 2 * 32 + j * 8 + lane / 4, q = s + lane % 4 * 2;
        right[j][0] = *(const unsigned*)&tile_b[r][q];
        right[j][1] = *(const unsigned*)&tile_b[r][q + 8];
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          float* d = sum[i][j];
          asm volatile(
              "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
              "{%8,%9}, {%0,%1,%2,%3};"
              : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
              : "r"(left[i][0]), "r"(left[i][1]), "r"(left[i][2]), "r"(left[i][3]),
                "r"(right[j][0]), "r"(right[j][1]));
        }
      }
    }
    __syncthreads();
  }
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int r = row + warp / 2 * 32 + i * 16 + lane / 4;
      const int q = column + warp % 2 * 32 + j * 8 + lane % 4 * 2;
      *(float2*)&c[(long long)r * n + q] = make_float2(sum[i][j][0], sum[i][j][1]);
      *(float2*)&c[(long long)(r + 8) * n + q] = make_float2(sum[i][j][2], sum[i][j][3]);
    }
  }
}
"""

CONVOLUTION = """
extern "C" __global__ void __launch_bounds__(256)
convolution(float* y, const float* x, const float* w, int height, int width, int channels,
            int filters) {
  const int at = blockIdx.x * 256 + threadIdx.x;
  if (at >= height * width * filters) return;
  const int f = at % filters, column = at / filters % width, row = at / filters / width;
  float sum = 0.0f;
  for (int kh = 0; kh < 3; ++kh) {
    for (int kw = 0; kw < 3; ++kw) {
      const int r = row + kh - 1, q = column + kw - 1;
      if (r < 0 || r >= height || q < 0 || q >= width) continue;
      for (int c = 0; c < channels; ++c) {
        sum = __fmaf_rn(x[((long long)r * width + q) * channels + c],
                        w[((kh * 3 + kw) * channels + c) * filters + f], sum);
      }
    }
  }
  y[at] = fmaxf(sum, 0.0f);
}
"""

TRANSPOSE = """
extern "C" __global__ void __launch_bounds__(256)
transpose(float* y, const float* x, int rows, int columns) {
  __shared__ float tile[32][33];
  const int tx = threadIdx.x % 32, ty = threadIdx.x / 32;
  for (int i = ty; i < 32; i += 8) {
    const int r = blockIdx.y * 32 + i, q = blockIdx.x * 32 + tx;
    if (r < rows && q < columns) tile[i][tx] = x[(long long)r * columns + q];
  }
  __syncthreads();
  for (int i = ty; i < 32; i += 8) {
    const int r = blockIdx.x * 32 + i, q = blockIdx.y * 32 + tx;
    if (r < columns && q < rows) y[(long long)r * rows + q] = tile[tx][i];
  }
}
"""

SOFTMAX = """
  float most = -INFINITY, sum = 0.0f;
  for (long long i = threadIdx.x; i < n; i += 256) most = fmaxf(most, row[i]);
  most = warp_max(most);
  if (threadIdx.x % 32 == 0) shared[0][threadIdx.x / 32] = most;
  __syncthreads();
  most = warp_max(threadIdx.x % 32 < 8 ? shared[0][threadIdx.x % 32] : -INFINITY);
  for (long long i = threadIdx.x; i < n; i += 256) sum += expf(row[i] - most);
  sum = block_sum(sum, shared[1]);
  for (long long i = threadIdx.x; i < n; i += 256) out[i] = expf(row[i] - most) / sum;
"""

LAYER_NORM = """
  float sum = 0.0f, squares = 0.0f;
  for (long long i = threadIdx.x; i < n; i += 256) sum += row[i];
  const float mean = block_sum(sum, shared[0]) / n;
  for (long long i = threadIdx.x; i < n; i += 256) squares += (row[i] - mean) * (row[i] - mean);
  const float scale = rsqrtf(block_sum(squares, shared[1]) / n + 1e-5f);
  for (long long i = threadIdx.x; i < n; i += 256) out[i] = (row[i] - mean) * scale;
"""

RMS_NORM = """
  float squares = 0.0f;
  for (long long i = threadIdx.x; i < n; i += 256) squares += row[i] * row[i];
  const float scale = rsqrtf(block_sum(squares, shared[0]) / n + 1e-5f);
  for (long long i = threadIdx.x; i < n; i += 256) out[i] = row[i] * scale;
"""

ROW_SUM = """
  float sum = 0.0f;
  for (long long i = threadIdx.x; i < n; i += 256) sum += row[i];
  sum = block_sum(sum, shared[0]);
  if (threadIdx.x == 0) out[0] = sum;
"""

ARG_MAX = """
  float most = -INFINITY;
  int place = 0;
  for (long long i = threadIdx.x; i < n; i += 256) {
    if (row[i] > most) { most = row[i]; place = (int)i; }
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, most, mask);
    const int other_place = __shfl_xor_sync(0xffffffffu, place, mask);
    if (other > most || (other == most && other_place < place)) {
      most = other;
      place = other_place;
    }
  }
  if (threadIdx.x % 32 == 0) {
    shared[0][threadIdx.x / 32] = most;
    shared[1][threadIdx.x / 32] = place;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < 8; ++w) {
      if (shared[0][w] > most) {
        most = shared[0][w];
        place = (int)shared[1][w];
      }
    }
    out[0] = place;
  }
"""

POOLING = """
extern "C" __global__ void __launch_bounds__(256)
max_pooling(float* y, const float* x, int height, int width, int channels) {
  const int at = blockIdx.x * 256 + threadIdx.x;
  if (at >= height / 2 * (width / 2) * channels) return;
  const int c = at % channels, q = at / channels % (width / 2), r = at / channels / (width / 2);
  float most = -INFINITY;
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) {
      most = fmaxf(most, x[((long long)(r * 2 + i) * width + q * 2 + j) * channels + c]);
    }
  }
  y[at] = most;
}
"""

GATHER = """
extern "C" __global__ void __launch_bounds__(128)
gather(float* y, const float* table, const long long* rows, long long n, long long columns,
       int* error) {
  const long long row = rows[blockIdx.x];
  if (row < 0 || row >= n) {
    if (threadIdx.x == 0) atomicCAS(error, 0, 1);
    return;
  }
  for (long long i = threadIdx.x; i < columns; i += 128) {
    y[blockIdx.x * columns + i] = table[row * columns + i];
  }
}
"""

HISTOGRAM = """
extern "C" __global__ void __launch_bounds__(256)
histogram(int* counts, const unsigned char* x, long long n) {
  __shared__ int own[256];
  own[threadIdx.x] = 0;
  __syncthreads();
  for (long long i = blockIdx.x * 256LL + threadIdx.x; i < n; i += gridDim.x * 256LL) {
    atomicAdd(&own[x[i]], 1);
  }
  __syncthreads();
  atomicAdd(&counts[threadIdx.x], own[threadIdx.x]);
}
"""

GELU = """
const float v = x[i];
y[i] = 0.5f * v * (1.0f + tanhf(0.7978845608f * (v + 0.044715f * v * v * v)));
"""

ADAM = """
const float d = g[i];
m[i] = 0.9f * m[i] + 0.1f * d;
v[i] = 0.999f * v[i] + 0.001f * d * d;
w[i] -= rate * m[i] / (sqrtf(v[i]) + 1e-8f);
"""


def elementwise(name: str, parameters: str, body: str) -> str:
    return HALF + ELEMENTWISE.format(name=name, parameters=parameters, body=body)


def rows(name: str, body: str) -> str:
    return HALF + ROWS.format(name=name, body=body)


def kernels() -> dict[str, str]:
    """Return the texts, each of one kernel."""
    xy = "float* y, const float* x"
    return {
        "axpy": elementwise("axpy", xy + ", float a", "y[i] = a * x[i] + y[i];"),
        "relu": elementwise("relu", xy, "y[i] = fmaxf(x[i], 0.0f);"),
        "gelu": elementwise("gelu", xy, GELU),
        "sigmoid": elementwise("sigmoid", xy, "y[i] = 1.0f / (1.0f + expf(-x[i]));"),
        "sine": elementwise("sine", xy, "y[i] = sinf(x[i]);"),
        "power": elementwise("power", xy + ", float a", "y[i] = powf(x[i], a);"),
        "bf16_add": elementwise(
            "bf16_add",
            "unsigned short* y, const unsigned short* x",
            "y[i] = to_bf16(from_bf16(y[i]) + from_bf16(x[i]));",
        ),
        "adam": elementwise(
            "adam", "float* w, float* m, float* v, const float* g, float rate", ADAM
        ),
        "row_sum": rows("row_sum", ROW_SUM),
        "arg_max": rows("arg_max", ARG_MAX),
        "softmax": rows("softmax", SOFTMAX),
        "layer_norm": rows("layer_norm", LAYER_NORM),
        "rms_norm": rows("rms_norm", RMS_NORM),
        "transpose": TRANSPOSE,
        "max_pooling": "#define INFINITY __int_as_float(0x7f800000)\n" + POOLING,
        "gather": GATHER,
        "histogram": HISTOGRAM,
        "convolution": CONVOLUTION,
        "naive_matmul": NAIVE_MATMUL,
        "tiled_matmul": TILED_MATMUL,
        "mma_matmul": MMA_MATMUL,
    }
