#pragma once

#include <map>
#include <string>

#include "attest/policy/appraisal.hpp"

namespace talaria::attest {

/// Facts by the names that manifests use for them, as text: numbers in decimal, bytes in
/// hexadecimal, tuples as "(1, 2)", the decoded TCB as "{'bl': 3, ...}".
std::map<std::string, std::string> vector_facts(const Facts& facts);

} // namespace talaria::attest
