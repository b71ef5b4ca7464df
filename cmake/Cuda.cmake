# Decides whether the CUDA kernels are built: sets TALARIA_WITH_CUDA. No GPU is needed to build them.
#   TALARIA_CUDA=AUTO (default)  if there is an nvcc; never with sanitizers or for fuzzing
#   TALARIA_CUDA=ON              or stop with an error
#   TALARIA_CUDA=OFF
include_guard()
set(TALARIA_CUDA AUTO CACHE STRING "Build the CUDA kernels of the worker: AUTO, ON or OFF")
set(TALARIA_CUDA_ARCHITECTURES "80;90" CACHE STRING
    "GPU architectures to compile for; newer ones start from the last one's PTX")

set(TALARIA_WITH_CUDA OFF)
if(TALARIA_CUDA STREQUAL "AUTO" AND (TALARIA_SANITIZE OR TALARIA_FUZZ))
  return()
endif()
if(NOT TALARIA_CUDA STREQUAL "AUTO" AND NOT TALARIA_CUDA)
  return()
endif()
if(TALARIA_SANITIZE)
  message(FATAL_ERROR "TALARIA_CUDA=ON: CUDA programs do not run under the CPU's sanitizers; use OFF")
endif()

find_program(TALARIA_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda
             PATH_SUFFIXES bin)
if(NOT TALARIA_NVCC)
  if(NOT TALARIA_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "TALARIA_CUDA=ON: no nvcc in PATH or /usr/local/cuda; install the CUDA "
                        "toolkit, set TALARIA_NVCC, or use TALARIA_CUDA=AUTO")
  endif()
  message(STATUS "CUDA kernels: no, there is no nvcc")
  return()
endif()
if(TALARIA_CUDA STREQUAL "AUTO") # an nvcc that does not work with this g++ is as good as none
  set(ENV{CUDACXX} ${TALARIA_NVCC})
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    message(STATUS "CUDA kernels: no, ${TALARIA_NVCC} does not work here")
    return()
  endif()
else()
  set(CMAKE_CUDA_COMPILER ${TALARIA_NVCC})
endif()
set(CMAKE_CUDA_ARCHITECTURES ${TALARIA_CUDA_ARCHITECTURES})
enable_language(CUDA)
find_package(CUDAToolkit 12 REQUIRED)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION) # CMake 3.25 does not know that nvcc speaks C++20
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(TALARIA_WITH_CUDA ON)
message(STATUS "CUDA kernels: nvcc ${CMAKE_CUDA_COMPILER_VERSION}, ${TALARIA_CUDA_ARCHITECTURES}")
