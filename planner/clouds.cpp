#include "planner/clouds.hpp"

#include <algorithm>

namespace talaria::planner {

namespace {

constexpr const char* kAws = "docs.aws.amazon.com/ec2/latest/instancetypes";
constexpr const char* kAwsBlocks = "docs.aws.amazon.com/ec2/latest/instancetypes; price: "
                                   "aws.amazon.com/ec2/capacityblocks/pricing, "
                                   "US East (Ohio), rates until 2025-01-01";
constexpr const char* kAzure = "learn.microsoft.com/azure/virtual-machines/sizes";
constexpr const char* kGoogleGpus = "cloud.google.com/compute/docs/accelerator-optimized-machines";
constexpr const char* kGoogle = "cloud.google.com/compute/docs/general-purpose-machines";

// Sockets, 10^9 bytes/s: Milan 8 x DDR4-3200 = 205 for 64 cores (48 in AWS' machines), Genoa 12 x
// DDR5-4800 = 461 for 96, Sapphire Rapids 8 x DDR5-4800 = 307 for 56 (48 in AWS' and Google's).
constexpr double kUsable = 0.8;
constexpr double milan(double cores, double of) {
  return kUsable * 205 * cores / of;
}
constexpr double genoa(double cores) {
  return kUsable * 461 * cores / 96;
}
constexpr double sapphire_rapids(double cores, double of) {
  return kUsable * 307 * cores / of;
}

} // namespace

const std::vector<Instance>& known_instances() {
  constexpr auto kAvx2 = Simd::avx2;
  constexpr auto kAvx512 = Simd::avx512;
  static const std::vector<Instance> kInstances{
      {"aws:p5.48xlarge", "", 192, 2048, kUsable * 410, 800, 8, "h100", kAvx2, 39.33, kAwsBlocks},
      {"aws:p5e.48xlarge", "", 192, 2048, kUsable * 410, 800, 8, "h200", kAvx2, 43.26, kAwsBlocks},
      {"aws:p5en.48xlarge", "", 192, 2048, kUsable * 614, 800, 8, "h200", kAvx512, {}, kAws},
      {"aws:c6a.16xlarge", "SEV-SNP", 64, 128, milan(32, 48), 25, 0, "", kAvx2, {}, kAws},
      {"aws:m6a.8xlarge", "SEV-SNP", 32, 128, milan(16, 48), 12.5, 0, "", kAvx2, {}, kAws},
      {"azure:NCC40ads_H100_v5",
       "SEV-SNP",
       40,
       320,
       genoa(20),
       40,
       1,
       "h100-nvl",
       kAvx512,
       {},
       kAzure},
      {"azure:ND96isr_H100_v5", "", 96, 1900, kUsable * 614, 80, 8, "h100", kAvx512, {}, kAzure},
      {"azure:ND96isr_H200_v5", "", 96, 1850, kUsable * 614, 80, 8, "h200", kAvx512, {}, kAzure},
      {"azure:DC96as_v5", "SEV-SNP", 96, 384, milan(48, 64), 0, 0, "", kAvx2, {}, kAzure},
      {"azure:DC96as_v6", "SEV-SNP", 96, 384, genoa(48), 0, 0, "", kAvx512, {}, kAzure},
      {"gcp:a3-highgpu-8g",
       "",
       208,
       1872 * 0.931,
       kUsable * 614,
       1000,
       8,
       "h100",
       kAvx512,
       {},
       kGoogleGpus},
      {"gcp:a3-ultragpu-8g",
       "",
       224,
       2952 * 0.931,
       kUsable * 614,
       400,
       8,
       "h200",
       kAvx512,
       {},
       kGoogleGpus},
      {"gcp:c3-standard-176",
       "TDX",
       176,
       704 * 0.931,
       sapphire_rapids(88, 48),
       100,
       0,
       "",
       kAvx512,
       {},
       kGoogle},
      {"gcp:n2d-standard-224",
       "SEV-SNP",
       224,
       896 * 0.931,
       milan(112, 64),
       32,
       0,
       "",
       kAvx2,
       {},
       kGoogle}};
  return kInstances;
}

const Instance* find_instance(std::string_view name) {
  const auto found = std::find_if(known_instances().begin(), known_instances().end(),
                                  [&](const Instance& i) { return i.name == name; });
  return found == known_instances().end() ? nullptr : &*found;
}

} // namespace talaria::planner
