#pragma once

#include <Eigen/Core>

#include "audit/transcript.hpp"

namespace talaria::audit {

/// What a row masked by the hybrid scheme is multiplied by to be rid of its mask, [d_in, r]: a
/// basis of the complement of M_pub's rows or, if there is none, the metric of a square M_pub.
Eigen::MatrixXd mask_free_directions(double rank, std::size_t d_in);

} // namespace talaria::audit
