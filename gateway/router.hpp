#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/httpd.hpp"

namespace talaria::gateway {

/// The paths of a server. Everything else, and everything that is wrong with a request whatever it
/// asks for, is refused before a byte of a body is read.
class Router {
public:
  using Get = std::function<void(httplib::Response& response)>;
  using Post = std::function<void(std::string body, httplib::Response& response)>;
  using Guard = std::function<void(const httplib::Request& request)>;

  /// @param most_body_bytes  longest body, after decompression
  explicit Router(std::size_t most_body_bytes) : most_body_bytes_(most_body_bytes) {}

  /// Handlers may throw ApiError or Error; clients get the error object.
  void get(const std::string& path, Get handler);
  void post(const std::string& path, Post handler);

  /// Called with the head of every request for a served path that is not a probe's, before its body
  /// is read; may throw ApiError.
  void guard(Guard guard) { guard_ = std::move(guard); }

  /// Makes `httpd` serve these paths. Both must outlive its serve().
  void install(Httpd& httpd);

private:
  struct Route {
    bool is_post;
    std::string path;
    Get get;
    Post post;
  };
  void check(const httplib::Request& request, httplib::Response& response) const;
  std::string read_body(const httplib::ContentReader& read) const;

  std::size_t most_body_bytes_;
  std::vector<Route> routes_;
  Guard guard_;
};

} // namespace talaria::gateway
