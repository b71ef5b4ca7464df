#pragma once

#include <functional>
#include <string>
#include <vector>

#include "gateway/api_error.hpp"
#include "gateway/exchange.hpp"

namespace talaria::gateway {

class AccessPolicy;

/// The paths of a server. Everything else, and everything that is wrong with a request whatever it
/// asks for, is refused before a byte of a body is read.
class Router {
public:
  using Get = std::function<void(HttpResponse& response)>;
  using Post = std::function<void(std::string body, HttpResponse& response)>;
  /// Throws ApiError if a request may not be made. Sees the head; runs on the thread that reads all
  /// connections, so it must not wait. May set fields of the answer.
  using Guard = std::function<void(Exchange& exchange, HttpResponse& response)>;
  /// Where a GET is handled.
  enum class On {
    a_thread_of_its_own, ///< one of a few, for what ends soon
    a_thread_for_long,   ///< one of those for requests that may take long
    the_spot
  };

  /// @param max_body_bytes  longest body, after decompression
  explicit Router(std::size_t max_body_bytes) : max_body_bytes_(max_body_bytes) {}

  /// Handlers may throw ApiError or Error; clients get the error object. A path that ends in "/*"
  /// is for all that lie below it and have no handler of their own.
  void get(const std::string& path, Get handler, On on = On::a_thread_of_its_own);
  void post(const std::string& path, Post handler);
  /// What answers paths that are not served by name; without it they get 404.
  void otherwise(Get get, Post post);
  /// Applies to what is added from now on.
  void guard(Guard guard) { guard_ = std::move(guard); }
  /// In whose words errors are written; of what is added from now on.
  void shape_errors(ErrorShape shape) { errors_ = shape; }
  /// Must outlive this object.
  void set_policy(const AccessPolicy& policy) { policy_ = &policy; }

  /// Looks at the head of exchange.request. True if `response` is complete and a body, if one
  /// follows, is not wanted.
  bool check(Exchange& exchange, const std::string& local_host, HttpResponse& response) const;
  /// Answers a request whose head passed check().
  void handle(Exchange& exchange, HttpResponse& response) const;
  /// Whether the request may keep a thread for long.
  bool is_long(const Exchange& exchange) const;
  /// Whether it is a POST that is handled, so that its body is read.
  bool is_post(const Exchange& exchange) const;

  std::size_t max_body_bytes() const noexcept { return max_body_bytes_; }

private:
  struct Route {
    std::string path;
    Get get;   ///< empty: the path is not for GET
    Post post; ///< the same for POST
    On on;     ///< of `get`
    Guard guard;
    ErrorShape errors = ErrorShape::openai;
  };
  template <class Action>
  void with_error_objects(const Exchange& exchange, HttpResponse& response,
                          const Action& action) const;
  Route& at(const std::string& path);
  const Route* find(const std::string& path) const;
  const Route& admit(Exchange& exchange, const std::string& local_host,
                     HttpResponse& response) const;
  void check_body(const HttpRequest& request) const;

  std::size_t max_body_bytes_;
  const AccessPolicy* policy_ = nullptr;
  Guard guard_;
  ErrorShape errors_ = ErrorShape::openai;
  std::vector<Route> routes_;
};

/// Makes `response` the error object that a client gets for `status`.
/// @param request  the id of the request
void refuse(HttpResponse& response, const ApiError& error, ErrorShape shape = ErrorShape::openai,
            const std::string& request = {});

} // namespace talaria::gateway
