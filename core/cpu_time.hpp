#pragma once

#include <thread>

namespace talaria {

/// CPU time so far in seconds, in user and kernel mode. 0 where the system does not say.
double process_cpu_seconds() noexcept;
double thread_cpu_seconds() noexcept; ///< of the calling thread
/// Of a thread that has not been joined.
double cpu_seconds_of(std::thread& thread) noexcept;

} // namespace talaria
