// The first and only program of an image beside talaria-enclave (docs/image.md): opens the disk
// that the command line names by its root hash, starts talaria-enclave there, and switches the
// machine off when that ends. There is no shell, no login, no swap, no core dump and no other
// process.
//
//   initrd: /init (this), /modules/*.ko in the order of /modules/list, /sbin/veritysetup and its
//           libraries
//   disk:   a squashfs, and behind it the hash tree: talaria.hash=ROOT HASH, talaria.tree=OFFSET
//
// Linked statically; everything that it decides is in the initrd or the command line, which are
// measured.
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr unsigned kUser = 8000; // as in packaging/containers
constexpr const char* kDisk = "/dev/vda";
constexpr int kDiskSeconds = 30;

[[noreturn]] void power_off() {
  ::sync();
  ::reboot(RB_POWER_OFF);
  for (;;) ::pause();
}

/// Says why on the console, and ends the machine: half an image is none.
[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "talaria-init: %s: %s\n", what.c_str(), std::strerror(errno));
  power_off();
}

void mount_at(const char* kind, const std::string& where, unsigned long flags,
              const char* options = "") {
  ::mkdir(where.c_str(), 0755);
  if (::mount(kind, where.c_str(), kind, flags, options) != 0) fail("mount " + where);
}

/// What the kernel's other ends are mounted for; not every kernel has each.
void mount_if_known(const char* kind, const std::string& where) {
  ::mount(kind, where.c_str(), kind, MS_NOSUID | MS_NODEV | MS_NOEXEC, "");
}

/// KEY=VALUE words.
std::map<std::string, std::string> words_of(const std::string& file) {
  std::map<std::string, std::string> words;
  std::ifstream in(file);
  for (std::string word; in >> word;)
    if (const auto at = word.find('='); at != std::string::npos)
      words[word.substr(0, at)] = word.substr(at + 1);
  return words;
}

/// Hardware differs: a driver that finds no device is no failure, and what is missing shows.
void load_modules() {
  std::ifstream list("/modules/list");
  for (std::string name; std::getline(list, name);) {
    const int file = ::open(("/modules/" + name).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail("/modules/" + name);
    if (::syscall(SYS_finit_module, file, "", 0) != 0 && errno != EEXIST)
      std::fprintf(stderr, "talaria-init: %s: %s\n", name.c_str(), std::strerror(errno));
    ::close(file);
  }
}

int run(const std::vector<std::string>& words) {
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    ::execv(arguments[0], arguments.data());
    std::perror(arguments[0]);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) fail("waitpid");
  return status;
}

/// The disk is the host's; whatever of it is not what was hashed is never read.
void open_root(const std::map<std::string, std::string>& command_line) {
  const auto hash = command_line.find("talaria.hash");
  const auto tree = command_line.find("talaria.tree");
  if (hash == command_line.end() || tree == command_line.end()) {
    errno = EINVAL;
    fail("the command line names no talaria.hash and talaria.tree");
  }
  for (int second = 0; ::access(kDisk, R_OK) != 0; ++second) {
    if (second == kDiskSeconds) fail(kDisk);
    ::sleep(1);
  }
  if (run({"/sbin/veritysetup", "open", kDisk, "root", kDisk, hash->second,
           "--hash-offset=" + tree->second, "--restart-on-corruption"}) != 0) {
    errno = EBADMSG;
    fail("the disk is not the one of this image");
  }
  ::mkdir("/root", 0755);
  if (::mount("/dev/mapper/root", "/root", "squashfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "") != 0)
    fail("mount /root");
}

void enter_root() {
  for (const char* kept : {"dev", "proc", "sys"})
    if (::mount((std::string("/") + kept).c_str(), (std::string("/root/") + kept).c_str(), nullptr,
                MS_MOVE, nullptr) != 0)
      fail(std::string("move /") + kept);
  if (::chdir("/root") != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      ::chroot(".") != 0 || ::chdir("/") != 0)
    fail("enter the root");
  // What is written is gone with the machine.
  for (const char* place : {"/run", "/tmp", "/var"})
    mount_at("tmpfs", place, MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=25%");
  ::mkdir("/var/lib", 0755);
  for (const char* place : {"/var/lib/talaria", "/run/talaria"})
    if (::mkdir(place, 0700) != 0 || ::chown(place, kUser, kUser) != 0) fail(place);
  ::chmod("/tmp", 01777);
}

sockaddr address_of(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::inet_pton(AF_INET, text.c_str(), &address.sin_addr) != 1) {
    errno = EINVAL;
    fail("/etc/talaria/network: " + text);
  }
  sockaddr out{};
  std::memcpy(&out, &address, sizeof out);
  return out;
}

void set_interface(int socket, const char* name, unsigned long what, ifreq request) {
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (::ioctl(socket, what, &request) != 0) fail(std::string(name) + ": cannot be set up");
}

void bring_up(int socket, const char* name) {
  ifreq request{};
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  set_interface(socket, name, SIOCSIFFLAGS, request);
}

/// One address and one way out, as the image says; nothing is asked of the network.
void set_up_network() {
  const auto words = words_of("/etc/talaria/network");
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) fail("socket");
  bring_up(socket, "lo");
  const auto value = [&](const char* name) {
    const auto found = words.find(name);
    return found == words.end() ? std::string() : found->second;
  };
  if (!value("address").empty()) {
    ifreq request{};
    request.ifr_addr = address_of(value("address"));
    set_interface(socket, "eth0", SIOCSIFADDR, request);
    request.ifr_netmask = address_of(value("netmask"));
    set_interface(socket, "eth0", SIOCSIFNETMASK, request);
    bring_up(socket, "eth0");
  }
  if (!value("gateway").empty()) {
    rtentry route{};
    route.rt_gateway = address_of(value("gateway"));
    route.rt_dst = route.rt_genmask = address_of("0.0.0.0");
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    if (::ioctl(socket, SIOCADDRT, &route) != 0) fail("the way to " + value("gateway"));
  }
  ::close(socket);
}

/// talaria-enclave may ask for evidence, and nobody else is there to.
void give_devices() {
  for (const char* device : {"/dev/sev-guest", "/dev/tdx_guest", "/dev/tpmrm0"})
    if (::access(device, F_OK) == 0 && ::chown(device, kUser, kUser) != 0) fail(device);
  const char* reports = "/sys/kernel/config/tsm/report";
  if (::access(reports, F_OK) == 0 && ::chown(reports, kUser, kUser) != 0) fail(reports);
}

void keep_nothing_behind() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  std::ofstream("/proc/sys/kernel/core_pattern") << "\n";
  std::ofstream("/proc/sys/kernel/sysrq") << "0\n";
  std::ofstream("/proc/sys/kernel/kptr_restrict") << "2\n";
}

/// Waits for it, and for whatever else is left to the first process.
[[noreturn]] void serve() {
  const pid_t enclave = ::fork();
  if (enclave < 0) fail("fork");
  if (enclave == 0) {
    const rlimit locked{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_MEMLOCK, &locked);
    if (::setgid(kUser) != 0 || ::setuid(kUser) != 0) fail("setuid");
    ::setenv("HOME", "/var/lib/talaria", 1);
    ::execl("/usr/bin/talaria-enclave", "talaria-enclave", "serve", "/etc/talaria/pipeline.yaml",
            static_cast<char*>(nullptr));
    std::perror("/usr/bin/talaria-enclave");
    ::_exit(127);
  }
  for (;;) {
    int status = 0;
    const pid_t ended = ::wait(&status);
    if (ended != enclave) continue;
    std::fprintf(stderr, "talaria-init: talaria-enclave ended with %d\n",
                 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    power_off();
  }
}

} // namespace

int main() {
  if (::getpid() != 1) {
    std::fputs("talaria-init: is the first program of an image, and of nothing else\n", stderr);
    return 2;
  }
  mount_at("devtmpfs", "/dev", MS_NOSUID);
  mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  load_modules();
  mount_if_known("configfs", "/sys/kernel/config");
  open_root(words_of("/proc/cmdline"));
  enter_root();
  keep_nothing_behind();
  set_up_network();
  give_devices();
  serve();
}
