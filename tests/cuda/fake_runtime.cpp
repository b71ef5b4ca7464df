#include "tests/cuda/fake_runtime.hpp"

#include <algorithm>
#include <cstring>

using namespace talaria;
using namespace talaria::kernels::cuda::test;

namespace {

u8* new_block(std::map<const u8*, std::size_t>& blocks, std::size_t bytes) {
  u8* memory = static_cast<u8*>(std::aligned_alloc(256, round_up(bytes, 256)));
  std::memset(memory, 0xcd, bytes);
  blocks[memory] = bytes;
  return memory;
}

} // namespace

cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
const char* cudaGetErrorString(cudaError_t) {
  return "fake error";
}
const char* cudaGetErrorName(cudaError_t) {
  return "fake";
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* address, int length, int) {
  std::snprintf(address, static_cast<std::size_t>(length), "0000:00:00.0");
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::snprintf(properties->name, sizeof properties->name, "fake");
  properties->major = 9;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Lock lock(Runtime::get().mutex);
  const std::size_t used = Runtime::get().device_bytes();
  *total = Runtime::get().faults.device_bytes;
  *free = *total - std::min(*total, used);
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const Lock lock(Runtime::get().mutex);
  Runtime& runtime = Runtime::get();
  if (runtime.device_bytes() + bytes > runtime.faults.device_bytes)
    return cudaErrorMemoryAllocation;
  *memory = new_block(runtime.device, bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  Runtime& runtime = Runtime::get();
  const Lock lock(runtime.mutex);
  runtime.run_all();
  if (runtime.device.erase(static_cast<u8*>(memory)) != 1) give_up("cudaFree of something else");
  std::free(memory);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  const Lock lock(Runtime::get().mutex);
  *memory = new_block(Runtime::get().pinned, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* memory) {
  Runtime& runtime = Runtime::get();
  const Lock lock(runtime.mutex);
  runtime.run_all();
  if (runtime.pinned.erase(static_cast<u8*>(memory)) != 1) give_up("cudaFreeHost: not pinned");
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  const Lock lock(Runtime::get().mutex);
  Runtime::get().pinned[static_cast<u8*>(memory)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* memory) {
  Runtime& runtime = Runtime::get();
  const Lock lock(runtime.mutex);
  runtime.run_all();
  if (runtime.pinned.erase(static_cast<u8*>(memory)) != 1) give_up("was never registered");
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(Runtime::get().mutex);
  *stream = new CUstream_st;
  Runtime::get().streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  if (!stream->work.empty()) give_up("a stream is destroyed with work on it");
  Runtime::get().streams.erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Runtime& runtime = Runtime::get();
  const Lock lock(runtime.mutex);
  runtime.run_until([&] { return stream->work.empty(); });
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(Runtime::get().mutex);
  stream->work.push_back({{}, event, event->recorded});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st;
  (*event)->timed = (flags & cudaEventDisableTiming) == 0;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock lock(Runtime::get().mutex);
  if (event->recorded != event->completed) give_up("an event is destroyed before it is reached");
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  const u64 record = ++event->recorded;
  put(stream, [event, record] {
    event->completed = record;
    event->at = Runtime::get().clock;
  });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock lock(Runtime::get().mutex);
  if (Runtime::get().faults.stray_kernel) return cudaErrorIllegalAddress;
  Runtime::get().run_some();
  return event->completed == event->recorded ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  Runtime& runtime = Runtime::get();
  const Lock lock(runtime.mutex);
  runtime.run_until([&] { return event->completed == event->recorded; });
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t begin, cudaEvent_t end) {
  const Lock lock(Runtime::get().mutex);
  if (!begin->timed || !end->timed) return cudaErrorInvalidResourceHandle;
  if (begin->completed != begin->recorded || end->completed != end->recorded)
    return cudaErrorNotReady;
  *ms = static_cast<float>(end->at) - static_cast<float>(begin->at);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* memory, int value, std::size_t bytes, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  Runtime::get().want_device(memory, bytes);
  put(stream, [=] { std::memset(memory, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Runtime& runtime = Runtime::get();
  const Lock lock(runtime.mutex);
  if (kind == cudaMemcpyDeviceToHost) {
    runtime.want_device(from, bytes);
    if (!Runtime::lies_in(runtime.pinned, to, bytes)) give_up("a result to pageable memory");
    put(stream, [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
  }
  if (runtime.faults.failing_copies) return cudaErrorUnknown;
  runtime.want_device(to, bytes);
  if (Runtime::lies_in(runtime.pinned, from, bytes)) {
    put(stream, [=] { std::memcpy(to, from, bytes); });
    return cudaSuccess;
  }
  const u8* begin = static_cast<const u8*>(from); // pageable memory is read at once
  put(stream, [to, copy = std::vector<u8>(begin, begin + bytes)] {
    std::memcpy(to, copy.data(), copy.size());
  });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  if (width > to_pitch || width > from_pitch) return cudaErrorInvalidPitchValue;
  Runtime::get().want_device(to, to_pitch * (height - 1) + width);
  Runtime::get().want_device(from, from_pitch * (height - 1) + width);
  put(stream, [=] {
    for (std::size_t row = 0; row < height; ++row)
      std::memcpy(static_cast<u8*>(to) + row * to_pitch,
                  static_cast<const u8*>(from) + row * from_pitch, width);
  });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Lock lock(Runtime::get().mutex);
  stream->captured = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(Runtime::get().mutex);
  *graph = std::exchange(stream->captured, nullptr);
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph, unsigned long long) {
  *ready = reinterpret_cast<cudaGraphExec_t>(new CUgraph_st(*graph));
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t ready, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  for (const auto& run : reinterpret_cast<CUgraph_st*>(ready)->work) put(stream, run);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t ready) {
  delete reinterpret_cast<CUgraph_st*>(ready);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
