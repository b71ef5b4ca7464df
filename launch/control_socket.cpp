#include "launch/control_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>

#include "core/digest.hpp"
#include "core/error.hpp"

namespace talaria::launch {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kAnswerTime = 5s;
constexpr auto kEndTime = 60s;
constexpr std::size_t kMaxQuestion = 4096;
constexpr std::size_t kMaxAnswer = std::size_t{16} << 20;

fs::path runtime_folder() {
  const char* given = std::getenv("XDG_RUNTIME_DIR");
  std::error_code ignored;
  if (given != nullptr && *given == '/' && fs::is_directory(given, ignored))
    return fs::path(given) / "talaria";
  return fmt::format("/tmp/talaria-{}", ::getuid());
}

/// A folder in /tmp can be made by anybody before us, and then its owner would be asked to stop.
void check_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST)
    throw Error(Errc::config, fmt::format("{}: cannot be made: {}; set XDG_RUNTIME_DIR to a folder "
                                          "of your own",
                                          folder.string(), std::strerror(errno)));
  struct stat info {};
  const bool is_ours = ::lstat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                       info.st_uid == ::getuid() && (info.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (!is_ours)
    throw Error(Errc::config, fmt::format("{}: is not a folder of yours alone (mode 0700); remove "
                                          "it, or set XDG_RUNTIME_DIR",
                                          folder.string()));
}

sockaddr_un address_of(const fs::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = socket.native();
  if (name.size() >= sizeof address.sun_path)
    throw Error(Errc::config, fmt::format("{}: too long for a socket; set XDG_RUNTIME_DIR to a "
                                          "shorter path",
                                          name));
  std::memcpy(address.sun_path, name.data(), name.size());
  return address;
}

FileDescriptor new_socket() {
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw Error(Errc::io, fmt::format("no socket: {}", std::strerror(errno)));
  return fd;
}

pid_t pid_in(const fs::path& lock) {
  std::array<char, 32> text{};
  const FileDescriptor file(::open(lock.c_str(), O_RDONLY | O_CLOEXEC));
  if (::read(file.get(), text.data(), text.size() - 1) <= 0) return 0;
  return static_cast<pid_t>(std::strtol(text.data(), nullptr, 10));
}

struct flock whole_file(short kind) {
  struct flock lock {};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// The lock tells a gateway that lives from one that was killed: the kernel lets go of it.
FileDescriptor take_lock(const fs::path& pipeline_file, const fs::path& lock) {
  FileDescriptor file(
      ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!file)
    throw Error(Errc::io, fmt::format("{}: cannot be opened: {}; remove it", lock.string(),
                                      std::strerror(errno)));
  const struct flock mine = whole_file(F_WRLCK);
  if (::fcntl(file.get(), F_OFD_SETLK, &mine) != 0)
    throw Error(Errc::config,
                fmt::format("{} is running already (pid {}); see talaria status, talaria stop",
                            pipeline_file.string(), pid_in(lock)));
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::write(file.get(), pid.data(), pid.size()) != static_cast<ssize_t>(pid.size()))
    throw Error(Errc::io,
                fmt::format("{}: cannot be written: {}", lock.string(), std::strerror(errno)));
  return file;
}

/// Reads up to the first newline, with a limit on bytes and time; empty if there is none.
std::string read_line(int fd, std::size_t limit, Clock::time_point until) {
  std::string line;
  std::array<char, 4096> buffer;
  while (line.size() < limit) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd waiting{fd, POLLIN, 0};
    if (left <= 0ms || ::poll(&waiting, 1, static_cast<int>(left.count())) != 1) return {};
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (count <= 0) return {};
    line.append(buffer.data(), static_cast<std::size_t>(count));
    if (const std::size_t end = line.find('\n'); end != std::string::npos)
      return line.substr(0, end);
  }
  return {};
}

void write_line(int fd, std::string line) {
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t count = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count <= 0) return; // the other end has gone
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
}

bool is_from_this_user(int connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == ::getuid() || peer.uid == 0);
}

/// Nobody may hold up the server's one thread by not reading.
void limit_sending(int connection) {
  const timeval limit{std::chrono::seconds(kAnswerTime).count(), 0};
  ::setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

std::string ask(const fs::path& pipeline_file, const ControlPaths& paths, const char* question) {
  const FileDescriptor connection = new_socket();
  const sockaddr_un address = address_of(paths.socket);
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw Error(Errc::io,
                fmt::format("{}: its gateway (pid {}) takes no questions: {}; try again",
                            pipeline_file.string(), pid_in(paths.lock), std::strerror(errno)));
  write_line(connection.get(), nlohmann::json{{"ask", question}}.dump());
  std::string answer = read_line(connection.get(), kMaxAnswer, Clock::now() + kAnswerTime);
  if (answer.empty())
    throw Error(Errc::io, fmt::format("{}: its gateway (pid {}) does not answer; kill it if it "
                                      "hangs",
                                      pipeline_file.string(), pid_in(paths.lock)));
  return answer;
}

std::optional<pid_t> holder_of(const fs::path& lock) {
  const FileDescriptor file(::open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct flock conflict = whole_file(F_RDLCK); // asks, takes nothing
  if (!file || ::fcntl(file.get(), F_OFD_GETLK, &conflict) != 0 || conflict.l_type == F_UNLCK)
    return std::nullopt;
  return pid_in(lock);
}

} // namespace

ControlPaths control_paths(const fs::path& pipeline_file) {
  std::error_code error;
  const fs::path real = fs::canonical(pipeline_file, error);
  if (error)
    throw Error(Errc::config, fmt::format("{}: {}; expected a pipeline file",
                                          pipeline_file.string(), error.message()));
  const fs::path folder = runtime_folder();
  check_folder(folder);
  const std::string& name = real.native();
  const auto digest = sha256({reinterpret_cast<const u8*>(name.data()), name.size()});
  const std::string stem = to_hex(std::span(digest).first(8));
  return {folder / (stem + ".sock"), folder / (stem + ".lock")};
}

ControlServer::ControlServer(const fs::path& pipeline_file, Handlers handlers)
    : handlers_(std::move(handlers)), paths_(control_paths(pipeline_file)),
      lock_(take_lock(pipeline_file, paths_.lock)), listening_(new_socket()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const sockaddr_un address = address_of(paths_.socket);
  ::unlink(paths_.socket.c_str()); // of a gateway that was killed: the lock was free
  if (::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listening_.get(), 16) != 0)
    throw Error(Errc::io,
                fmt::format("{}: cannot listen: {}", paths_.socket.string(), std::strerror(errno)));
  thread_ = std::thread([this] { serve(); });
}

ControlServer::~ControlServer() {
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
  ::unlink(paths_.socket.c_str());
}

void ControlServer::serve() {
  for (;;) {
    std::array<pollfd, 2> waiting{{{wake_.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}}};
    ::poll(waiting.data(), waiting.size(), -1);
    if (waiting[0].revents != 0) return;
    const FileDescriptor connection(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection && is_from_this_user(connection.get())) answer(connection.get());
  }
}

void ControlServer::answer(int connection) const {
  limit_sending(connection);
  const std::string line = read_line(connection, kMaxQuestion, Clock::now() + kAnswerTime);
  const auto question = nlohmann::json::parse(line, nullptr, false);
  const std::string asked =
      question.is_object() ? question.value("ask", nlohmann::json()).dump() : std::string();
  if (asked == "\"status\"") {
    write_line(connection, handlers_.status());
  } else if (asked == "\"stop\"") {
    write_line(connection, nlohmann::json{{"ok", true}, {"pid", ::getpid()}}.dump());
    handlers_.stop();
  } else {
    write_line(connection, R"({"error":"expected {\"ask\":\"status\"} or {\"ask\":\"stop\"}"})");
  }
}

std::optional<pid_t> running_gateway(const fs::path& pipeline_file) {
  return holder_of(control_paths(pipeline_file).lock);
}

std::string ask_status(const fs::path& pipeline_file) {
  const ControlPaths paths = control_paths(pipeline_file);
  if (!holder_of(paths.lock))
    throw Error(Errc::no_worker, fmt::format("{} is not running; start it with talaria launch",
                                             pipeline_file.string()));
  return ask(pipeline_file, paths, "status");
}

namespace {
/// A pidfd, or none. (The declaration in glibc 2.36 has C++ linkage, so that nothing defines it.)
FileDescriptor open_process(pid_t pid) {
  return FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

/// Whether the process of this pidfd has ended; true as well if there is none.
bool has_ended(const FileDescriptor& process) {
  pollfd entry{process.get(), POLLIN, 0};
  return !process || ::poll(&entry, 1, 0) > 0;
}
} // namespace

bool ask_stop(const fs::path& pipeline_file) {
  const ControlPaths paths = control_paths(pipeline_file);
  const auto pid = holder_of(paths.lock);
  if (!pid) return false;
  const FileDescriptor process = open_process(*pid); // as long as the number is surely its own
  ask(pipeline_file, paths, "stop");
  const auto until = Clock::now() + kEndTime;
  while (holder_of(paths.lock) || !has_ended(process)) { // the lock falls first
    if (Clock::now() > until)
      throw Error(Errc::io, fmt::format("{}: its gateway (pid {}) does not end; kill it",
                                        pipeline_file.string(), *pid));
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

} // namespace talaria::launch
