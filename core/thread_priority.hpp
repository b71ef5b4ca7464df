#pragma once

namespace talaria {

/// Makes the calling thread one that others go before: it gets what they leave, and about a fifth
/// of a core if they leave nothing. For work that is wanted later. Never fails: where the system
/// refuses, the thread stays as it is.
void work_in_background() noexcept;

} // namespace talaria
