#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace talaria::exporting {

/// A cluster's name has at most so many characters, and so has a worker's behind it: the name of a
/// StatefulSet (52, since its pods get a label of the name and eleven more) holds both.
inline constexpr std::size_t kMaxClusterName = 20;
inline constexpr std::size_t kMaxWorkerName = 31;

/// A DNS label (RFC 1035, and so RFC 1123): lower-case letters, digits and '-', beginning with a
/// letter and ending with a letter or digit, 1 to `max` characters.
bool is_dns_label(std::string_view text, std::size_t max);

/// DNS labels for `names`, all different, in their order. A name that is one already stays;
/// others are made of what can be kept, with six hexadecimal digits of the name's SHA-256 behind it
/// if that is taken, one of `reserved`, or had to be cut. `names` must differ; max is at least 8.
std::vector<std::string> dns_labels(const std::vector<std::string>& names, std::size_t max,
                                    const std::vector<std::string>& reserved = {});

} // namespace talaria::exporting
