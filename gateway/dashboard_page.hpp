#pragma once

#include <string>

namespace talaria::gateway {

/// The live page: one HTML document that asks nothing of any network but /dashboard/events of the
/// server it came from.
struct DashboardPage {
  std::string html;
  /// Content-Security-Policy, which allows this page's own script and style by their digests, and
  /// nothing else.
  std::string policy;
};

DashboardPage dashboard_page();

} // namespace talaria::gateway
