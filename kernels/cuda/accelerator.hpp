#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/integers.hpp"
#include "core/matrix.hpp"
#include "kernels/modulus.hpp"
#include "kernels/packed_weights.hpp"

/// Products on NVIDIA GPUs. Nothing here needs the CUDA toolkit: a build without it has the same
/// functions, which say so.
namespace talaria::kernels::cuda {

/// After this a device does nothing more for this process: a kernel went astray, or the device fell
/// off the bus. Only a new process can use it again.
class DeviceLost : public Error {
public:
  explicit DeviceLost(const std::string& message) : Error(Errc::internal, message) {}
};

/// What a row's values are, going in and coming out.
enum class RowFormat : u8 {
  residues,         ///< words mod q in and out
  switched,         ///< words mod q in, values of the reply format out
  float32,          ///< fp32 in and out; rounded, and not in the order of KernelSet::float_product
  int8,             ///< int8 in, int32 out
  rounded,          ///< words mod p, the rounded modulus, in and out
  rounded_switched, ///< words mod p in, values of the reply format out
};

/// `count` rows of d_in values without gaps, in host memory.
struct InputRows {
  const u8* bytes = nullptr;
  std::size_t count = 0;
};

/// When a job did what, in ms since begin() put it on its way.
struct JobTimes {
  struct Phase {
    double begin = 0;
    double end = 0;
  };
  Phase copy_in;
  Phase product; ///< splitting and recombining included
  Phase copy_out;
};

/// One product under way. Ended by finish(), or by its destructor, which waits and drops the
/// result.
class Job {
public:
  using Reply = std::shared_ptr<const AlignedBuffer<u8>>;
  virtual ~Job() = default;
  Job() = default;
  Job(const Job&) = delete;

  /// Whether the results are there: finish() will only copy. Does not block.
  /// @throws Error{internal} if the device failed, DeviceLost if it did for good.
  virtual bool ready() = 0;
  /// The product of each group of rows that was given, in order. Blocks until they are there. Call
  /// once. @throws Error{internal} if the device failed.
  virtual std::vector<Reply> finish() = 0;
  /// After finish(), of a job that was begun with `timed`. Accurate to what copies of earlier jobs
  /// delayed the first copy.
  virtual JobTimes times() const = 0;
};

/// Holds matrices in device memory and multiplies rows by them. Exact, except for float32. Whatever
/// throws Error{internal} because a device failed throws DeviceLost if it did for good. Calls may
/// come from any thread; jobs of one device run in the order of begin().
class Accelerator {
public:
  virtual ~Accelerator() = default;
  Accelerator() = default;
  Accelerator(const Accelerator&) = delete;

  /// Copies a matrix to the device with the most free memory and keeps it there under this number.
  /// `d_in` < 2^17. @throws Error{usage} with the device, the bytes needed and those free if it has
  /// no room.
  virtual void add(u32 matrix, const PackedWeights& weights) = 0;

  /// Starts c W for all groups of rows together and returns while it runs; the input has been read
  /// when it does. At least one row. `timed`: the job's times() are wanted, which costs some
  /// microseconds. @throws Error{internal} if the matrix is not held or the device failed,
  /// Error{usage} if its memory does not suffice.
  virtual std::unique_ptr<Job> begin(u32 matrix, RowFormat format, std::span<const InputRows> rows,
                                     bool timed = false) = 0;

  /// Bytes of device memory that each device's matrices and products take, in the order of
  /// AcceleratorOptions::devices.
  virtual std::vector<std::size_t> used_bytes() const = 0;

  /// Jobs worth having under way: one is copied and one multiplied at a time.
  virtual std::size_t max_jobs() const = 0;
  /// "cuda:0 NVIDIA H200", for logs and for enclaves to see.
  virtual std::string name() const = 0;
};

struct AcceleratorOptions {
  Modulus modulus;
  u64 rounded_modulus = 0;           ///< p of the rounded formats; 0: they are not to be used
  u64 reply_modulus = 0;             ///< for switched formats; a power of two below q and p
  std::vector<int> devices = {0};    ///< CUDA device numbers, each once
  std::size_t threads = 1;           ///< for copying large tensors to and from pinned memory
  std::size_t max_bytes = 0;         ///< of each device's memory; 0: all that is free
  std::size_t sums_bytes = 64 << 20; ///< int32 sums that wait for recombination at a time
};

struct DeviceInfo {
  int index = 0;
  std::string name;
  int major = 0; ///< compute capability
  int minor = 0;
  std::size_t total_bytes = 0;
  bool usable() const { return major >= 8; } ///< int8 tensor cores as they are used here
};

/// Every CUDA device of this machine. @throws Error{usage} saying what is missing (the toolkit in
/// this build, the driver, a device) if there is none.
std::vector<DeviceInfo> find_devices();

/// Opens the devices and the libraries they need, and has each device prove that it multiplies as
/// the reference kernels do.
/// @throws Error{usage} naming what is missing: driver, cuBLASLt, device, compute capability 8.0;
/// Error{internal} if a product is wrong.
std::unique_ptr<Accelerator> open_devices(const AcceleratorOptions& options);

} // namespace talaria::kernels::cuda
