# What `gpu_check` is made of, relative to the root. Everything here builds with a C++20 compiler and the
# CUDA toolkit alone: tests/gpu_check/self_contained looks at what each file includes.
set(GPU_CHECK_ROOM
    gpu_check/compare_jobs.cpp gpu_check/compare_large.cpp gpu_check/context.cpp gpu_check/equality.cpp
    gpu_check/facts.cpp gpu_check/json.cpp gpu_check/nvml.cpp gpu_check/report.cpp gpu_check/run.cpp
    gpu_check/samples.cpp gpu_check/steps.cpp gpu_check/time_copies.cpp gpu_check/time_steps.cpp
    gpu_check/time_worker.cpp gpu_check/timer.cpp)

# The rest is carried along by standalone/ only; in the project's own build these are libraries.
set(GPU_CHECK_CARRIED
    core/cpu_time.cpp core/error.cpp core/large_memory.cpp core/thread_team.cpp
    kernels/product_answers.cpp kernels/product_dispatch.cpp kernels/scratch.cpp
    kernels/reference/plain_product.cpp kernels/reference/product.cpp
    kernels/cuda/device/cuda_accelerator.cpp kernels/cuda/device/device.cpp
    kernels/cuda/device/device_job.cpp kernels/cuda/device/gemm.cpp kernels/cuda/device/handles.cpp
    kernels/cuda/device/self_check.cpp
    remo/public/parameters.cpp remo/public/reply_switch.cpp)
set(GPU_CHECK_AVX2 kernels/avx2/plain_product.cpp kernels/avx2/product.cpp)
set(GPU_CHECK_AVX512 kernels/avx512/plain_product.cpp kernels/avx512/product.cpp)

# On a GPU, and in their place on a machine without one.
set(GPU_CHECK_DEVICE kernels/cuda/device/cublaslt.cpp)
set(GPU_CHECK_KERNELS kernels/cuda/device/device_kernels.cu)
set(GPU_CHECK_FAKE tests/cuda/fake_cublaslt.cpp tests/cuda/fake_kernels.cpp tests/cuda/fake_runtime.cpp)
