#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace talaria::attest {

/// What became of one case of a manifest.
struct VectorResult {
  std::string name;
  std::string expected; ///< "accept", or the code of the first check that must fail
  std::string actual;
  std::string reason; ///< why it was refused, or what else is wrong with it
  bool passed = false;
};

/// Judges the cases of FOLDER/manifest.json and FOLDER/negative/manifest.json, where they exist, at
/// the time and under the policy that each case names. A case passes if its verdict and its facts
/// are those that come out. Files are read below FOLDER alone.
/// @throws Error{io} if there is no manifest, Error{usage} for one that cannot be read.
std::vector<VectorResult> run_vectors(const std::filesystem::path& folder);

/// The program `attest_vectors FOLDER`: a line per case, then "N passed, N failed".
/// @return 0 if none failed, 1 if one did, 2 if the folder cannot be used.
int attest_vectors_main(int argc, char** argv);

} // namespace talaria::attest
