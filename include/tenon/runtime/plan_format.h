#pragma once

/// The records of the plan format, version 2; the prose is docs/design/plan.md.
///
/// A plan is one block of memory: `Header`, then `num_sections` times `Section`, then the sections,
/// each 8-byte aligned. All numbers are little-endian. A section is an array of one record type,
/// except kStrings (bytes, not terminated) and kData (constants). A reader checks every offset,
/// count and index against the lengths before use and trusts nothing else.

#include <cstdint>

namespace tenon::plan_format {

inline constexpr char kMagic[8] = {'T', 'E', 'N', 'O', 'N', 'P', 'L', 'N'};
/// Major version in the upper 16 bits, minor in the lower. Readers accept their own major version
/// with a minor one up to their own. Minor version 1 added plans for a device, 2 extern steps.
inline constexpr std::uint32_t kVersion = (2u << 16) | 2u;
/// What plans for a device without extern steps are written as.
inline constexpr std::uint32_t kDeviceVersion = (2u << 16) | 1u;
/// What plans for the host are written as: they need nothing newer.
inline constexpr std::uint32_t kHostVersion = 2u << 16;
/// "absent", wherever an index is optional.
inline constexpr std::uint32_t kNone = 0xffffffffu;

/// What the sections are for. Each occurs at most once; a missing one is empty. Unknown kinds are
/// ignored.
enum class SectionKind : std::uint32_t {
  kStrings = 1,
  kInfo = 2,       ///< exactly one `Info`
  kProgram = 3,    ///< `Instruction`
  kIndices = 4,    ///< u32: lists that other records point into
  kArguments = 5,  ///< `Argument`: inputs, then results
  kSymbols = 6,    ///< `Symbol`
  kChecks = 7,     ///< `Check`
  kBuffers = 8,    ///< `BufferRecord`
  kConstants = 9,  ///< `Constant`
  kKernels = 10,   ///< `KernelRecord`
  kSites = 11,     ///< `Site`
  kSteps = 12,     ///< `Step`
  kData = 13,      ///< bytes of embedded constants, at the end of the plan; empty where they lie in
                   ///< a block beside it
  kRegions = 14,   ///< `Region`
  kMoves = 15,     ///< `Move`, ascending by loop
  kDevice = 16,    ///< `DeviceRecord`, one; absent: the host
  kCubins = 17,    ///< `CubinRecord`
  kDeviceKernels = 18,  ///< `DeviceKernelRecord`
  kLaunches = 19,       ///< `LaunchRecord`, ascending by step
  kParams = 20,         ///< `ParamRecord`: of the first launch, of the second, and so on
  kRepeats = 21,        ///< `RepeatRecord`, likewise
  kCode = 22,           ///< bytes of the cubins
  kExterns = 23,        ///< `ExternRecord`
};
inline constexpr std::uint32_t kNumSectionKinds = 24;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t num_sections;
  std::uint64_t total_bytes;  ///< of the whole plan
  std::uint32_t crc32c;  ///< of all bytes before kData (of all where there is none), this field
                         ///< taken as 0
  std::uint32_t flags;   ///< 0
};

struct Section {
  std::uint32_t kind;   ///< SectionKind
  std::uint32_t count;  ///< records (bytes for kStrings and kData when below 4 GiB, else 0)
  std::uint64_t offset;
  std::uint64_t bytes;
};

/// A piece of kStrings.
struct StringRef {
  std::uint32_t offset;
  std::uint32_t length;
};

/// A run of kIndices.
struct IndexList {
  std::uint32_t begin;
  std::uint32_t count;
};

struct Info {
  StringRef name;  ///< what messages call the plan
  std::uint32_t num_inputs;
  std::uint32_t num_results;
  std::uint32_t arena_bytes;  ///< register: bytes of memory that workspace buffers lie in; kNone: 0
  std::uint32_t reserved;
};

/// Operations of the integer program. Instruction i writes register i; operands are earlier
/// registers. 64-bit signed; add, sub and mul that overflow fail the bind. x floordiv 0 = x
/// floormod 0 = 0.
enum class Op : std::uint32_t {
  kConstant = 0,  ///< imm
  kDim = 1,       ///< size of axis b of argument a (an input)
  kAdd = 2,
  kSub = 3,
  kMul = 4,
  kFloorDiv = 5,
  kFloorMod = 6,
  kMin = 7,
  kMax = 8,
  kLess = 9,  ///< 1 or 0
  kLessEqual = 10,
  kEqual = 11,
  kNotEqual = 12,
  kSelect = 13,  ///< a != 0 ? b : c
};
inline constexpr std::uint32_t kNumOps = 14;

struct Instruction {
  std::uint32_t op;
  std::uint32_t a;
  std::uint32_t b;
  std::uint32_t c;
  std::int64_t imm;
};

/// An input or result. Dims and strides are registers; a dim that differs from its register fails
/// the check by name.
struct Argument {
  StringRef name;
  std::uint8_t code;  ///< DLDataTypeCode
  std::uint8_t bits;
  std::uint16_t lanes;
  std::uint32_t alignment;    ///< of the first element, a power of two; 0: that of the element
  IndexList dims;             ///< one register for each axis
  IndexList strides;          ///< in elements; empty: row-major
  std::uint32_t in_place_of;  ///< for a result: the input whose memory it may be; else kNone
  std::uint32_t reserved;
};

/// A named size, taken from one axis of one input; used for messages and its own range.
struct Symbol {
  StringRef name;
  std::uint32_t reg;
  std::uint32_t argument;
  std::uint32_t axis;
  std::uint32_t reserved;
  std::int64_t min;
  std::int64_t max;          ///< INT64_MAX: none
  std::int64_t multiple_of;  ///< at least 1
};

enum class CheckKind : std::uint32_t { kEqual = 0, kLessEqual = 1, kMultipleOf = 2 };

/// registers a == b, a <= b or a multiple of b, else the bind fails with `text` and both values.
struct Check {
  std::uint32_t kind;
  std::uint32_t a;
  std::uint32_t b;
  std::uint32_t reserved;
  StringRef text;
};

enum class BufferKind : std::uint32_t { kArgument = 0, kWorkspace = 1, kConstant = 2 };

/// Memory that steps use: an argument or constant (by index), or a range of the arena.
struct BufferRecord {
  std::uint32_t kind;
  std::uint32_t index;         ///< of the argument or constant
  std::uint32_t offset_bytes;  ///< register; kNone: 0. Workspace offsets are multiples of 64
  std::uint32_t bytes;         ///< register; kNone for a whole argument or constant
};

/// Embedded constants lie in ascending order without overlap; what is between and after them is 0.
struct Constant {
  StringRef name;
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
  std::uint32_t alignment;  ///< a power of two, at most 4096
  std::uint32_t embedded;   ///< 1: at `offset` of kData, or of the block beside the plan; 0: the
                            ///< loader's caller supplies the memory
  std::uint32_t crc32c;     ///< of the bytes of an embedded constant
  std::uint64_t offset;
  std::uint64_t bytes;
};

struct KernelRecord {
  StringRef name;
  std::uint32_t sites_begin;  ///< its rows of kSites, in the order of tenon_index_error.site
  std::uint32_t num_sites;
};

enum class SiteKind : std::uint32_t { kRead = 0, kWrite = 1, kAssert = 2 };

/// A checked access of a kernel.
struct Site {
  StringRef buffer;  ///< for kAssert: the message
  StringRef source;  ///< "file.py:14"; empty when unknown
  std::uint32_t axis;
  std::uint32_t kind;
};

/// All opcodes; a reader refuses those that it does not run.
enum class StepOp : std::uint32_t {
  kKernel = 0,
  kExtern = 1,
  kCopy = 2,
  kFill = 3,
  kBranch = 4,
  kLoop = 5,
  kSubPlan = 6,
  kLaunch = 7,
};
inline constexpr std::uint32_t kNumStepOps = 8;

/// kKernel: `index` is the kernel, `buffers` its buffers in parameter order, `sizes` registers,
/// `shared_bytes` and `worker_bytes` registers of the workspace (kNone: 0). kCopy: `buffers` =
/// destination, source (equal bytes). kBranch, kLoop: `index` is the region, `buffers` those that
/// its fields name by position. kLaunch: `index` is the kernel, whose sites count; what is launched
/// is in kLaunches; `shared_bytes` is the step's scratch memory on the device. kExtern: `index` is
/// the record of kExterns, `buffers` the operands, then the results, `sizes` registers that the
/// routine wants, `shared_bytes` the memory that it may use meanwhile; on devices only.
struct Step {
  std::uint32_t op;
  std::uint32_t index;
  IndexList buffers;
  IndexList sizes;
  std::uint32_t shared_bytes;
  std::uint32_t worker_bytes;
};

/// What a branch or loop governs: the steps that follow it. Regions nest, at most kMaxNesting deep.
/// Buffers are positions in the step's list, kNone: absent.
struct Region {
  std::uint32_t num_steps;  ///< that belong to it, those of regions within included
  /// A branch runs the first ones where the condition holds, the others where it does not. A loop
  /// runs the first ones of an iteration before it looks at the condition, and ends where that does
  /// not hold.
  std::uint32_t num_first;
  std::uint32_t condition;     ///< one byte, 0: does not hold. A branch has one
  std::uint32_t count;         ///< loop: register: at most so many iterations (none when negative)
  std::uint32_t count_buffer;  ///< loop: int64, read at its beginning: at most so many
  std::uint32_t iteration;     ///< loop: int64, gets the iteration's number, from 0
};
inline constexpr std::uint32_t kMaxNesting = 16;

/// Where a buffer lies in iteration t of at most n.
enum class MoveKind : std::uint32_t {
  kForward = 0,   ///< t * stride further on; the buffer is used in the loop only
  kBackward = 1,  ///< (n - 1 - t) * stride further on; likewise
  kEven = 2,      ///< stride further on when t is odd; after the loop t is the number of iterations
  kOdd = 3,       ///< stride further on when t is even; likewise
};
inline constexpr std::uint32_t kNumMoveKinds = 4;

/// A buffer whose place depends on a loop. Moves of one buffer with several loops add up.
struct Move {
  std::uint32_t loop;  ///< step
  std::uint32_t buffer;
  std::uint32_t stride;  ///< register: bytes, not negative
  std::uint32_t kind;
};

enum class DeviceKind : std::uint32_t { kHost = 0, kCuda = 1 };

/// Where a plan runs. Plans for the host have kernel steps, those for a device launch steps; both
/// have copies, branches and loops.
struct DeviceRecord {
  std::uint32_t kind;  ///< DeviceKind
  std::uint32_t reserved;
};

/// Code for one architecture; the images follow each other in kCode.
struct CubinRecord {
  StringRef arch;  ///< "sm_80", "sm_90a"
  std::uint64_t offset;
  std::uint64_t bytes;
};

struct DeviceKernelRecord {
  StringRef name;
  std::uint32_t cubin;
  std::uint32_t reserved;
};

/// One launch of a step. Its params and repeats follow those of the launch before it.
struct LaunchRecord {
  std::uint32_t step;
  std::uint32_t kernel;   ///< of kDeviceKernels
  std::uint32_t grid[3];  ///< registers; 0 in any of them: nothing is launched
  std::uint32_t block[3];
  std::uint32_t static_shared_bytes;
  std::uint32_t dynamic_shared_bytes;
  std::uint32_t num_params;
  std::uint32_t num_repeats;  ///< at most kMaxRepeats
  StringRef loops[6];  ///< names of the loops bound to grid x, y, z and block x, y, z; for messages
};
inline constexpr std::uint32_t kMaxRepeats = 8;

/// What a kernel gets. Each takes 8 bytes.
enum class ParamKind : std::uint32_t {
  kBuffer = 0,   ///< address of a buffer of the step, by position
  kScratch = 1,  ///< address in the step's scratch memory, `index` is the register of the offset
  kSize = 2,     ///< a register
  kLoop = 3,     ///< iteration of one of the launch's repeats
  kError = 4,    ///< address of the step's error record
};
inline constexpr std::uint32_t kNumParamKinds = 5;

/// A routine of a library that steps call, by a name that the runtime knows.
struct ExternRecord {
  StringRef name;              ///< "cublaslt.matmul"
  StringRef attributes;        ///< bytes that the routine knows the meaning of
  std::uint32_t num_operands;  ///< of the step's buffers; the others are results
  std::uint32_t reserved;
};
inline constexpr std::uint32_t kMaxExternBuffers = 8;

struct ParamRecord {
  std::uint32_t kind;  ///< ParamKind
  std::uint32_t index;
};

/// A loop around launches. Consecutive launches of a step with the same ids from the outermost on
/// are repeated together.
struct RepeatRecord {
  std::uint32_t id;
  std::uint32_t count;  ///< register; no iteration when it is not above 0
};

/// What a kernel on a device writes when a checked access is out of range: the first thread that
/// sets `claimed` from 0 to 1 fills in the rest. Not a record of the plan.
struct ErrorRecord {
  std::int32_t claimed;
  std::int32_t site;  ///< of the step's kernel
  std::int64_t value;
  std::int64_t extent;
};

static_assert(sizeof(ErrorRecord) == 24 && sizeof(DeviceRecord) == 8 && sizeof(CubinRecord) == 24);
static_assert(sizeof(DeviceKernelRecord) == 16 && sizeof(LaunchRecord) == 96);
static_assert(sizeof(ExternRecord) == 24);
static_assert(sizeof(ParamRecord) == 8 && sizeof(RepeatRecord) == 8);
static_assert(sizeof(Region) == 24 && sizeof(Move) == 16);
static_assert(sizeof(Header) == 32 && sizeof(Section) == 24 && sizeof(Info) == 24);
static_assert(sizeof(Instruction) == 24 && sizeof(Argument) == 40 && sizeof(Symbol) == 48);
static_assert(sizeof(Check) == 24 && sizeof(BufferRecord) == 16 && sizeof(Constant) == 40);
static_assert(sizeof(KernelRecord) == 16 && sizeof(Site) == 24 && sizeof(Step) == 32);

}  // namespace tenon::plan_format
