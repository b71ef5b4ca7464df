#include "core/aes_rng.hpp"

#include <openssl/evp.h>
#ifdef TALARIA_X86_VAES
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstring>

#include "core/aes_vaes.hpp"
#include "core/error.hpp"
#include "core/kernel_random.hpp"
#include "core/secret.hpp"

namespace talaria {

namespace {
constexpr std::size_t kBlock = 16;
constexpr u64 kBlocksPerKey = u64{1} << 20;

#ifdef TALARIA_X86_VAES
/// CPUID leaf 7, ECX bit 9: clang 14's __builtin_cpu_supports() does not know the word.
bool has_vaes() noexcept {
  constexpr unsigned kVaes = 1U << 9;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c & kVaes) != 0;
}
#endif
} // namespace

bool vaes::available() noexcept {
#ifdef TALARIA_X86_VAES
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("aes") && has_vaes();
#else
  return false;
#endif
}

class AesRng::Cipher {
public:
  virtual ~Cipher() = default;
  virtual void set_key(std::span<const u8, 32> key) = 0;
  /// AES of the numbers from `first` on; whole blocks.
  virtual void keystream(u64 first, std::span<u8> out) = 0;
};

class AesRng::OpenSslCipher final : public Cipher {
public:
  void set_key(std::span<const u8, 32> key) override {
    if (!context_ ||
        EVP_EncryptInit_ex(context_.get(), EVP_aes_256_ctr(), nullptr, key.data(), nullptr) != 1)
      throw Error(Errc::internal, "OpenSSL offers no AES-256-CTR");
  }
  void keystream(u64 first, std::span<u8> out) override {
    u8 counter[kBlock] = {};
    for (std::size_t i = 0; i < 8; ++i) counter[15 - i] = static_cast<u8>(first >> (8 * i));
    std::fill(out.begin(), out.end(), u8{0});
    int written = 0;
    const int n = static_cast<int>(out.size()); // at most what one key makes
    if (EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, counter) != 1 ||
        EVP_EncryptUpdate(context_.get(), out.data(), &written, out.data(), n) != 1 || written != n)
      throw Error(Errc::internal, "AES-256-CTR failed");
  }

private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); } // cleanses it
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> context_{EVP_CIPHER_CTX_new()};
};

#ifdef TALARIA_X86_VAES
class AesRng::VectorCipher final : public Cipher {
public:
  void set_key(std::span<const u8, 32> key) override { vaes::expand_key(key, round_keys_.data()); }
  void keystream(u64 first, std::span<u8> out) override {
    vaes::keystream(round_keys_.data(), first, out.size() / kBlock, out.data());
  }

private:
  SecretBuffer<u8> round_keys_{vaes::kRoundKeyBytes};
};
#endif

std::unique_ptr<AesRng::Cipher> AesRng::make_cipher(Engine engine) {
#ifdef TALARIA_X86_VAES
  if (engine == Engine::best && vaes::available()) return std::make_unique<VectorCipher>();
#endif
  (void)engine;
  return std::make_unique<OpenSslCipher>();
}

AesRng::AesRng(std::span<const u8, 32> key, Engine engine) : cipher_(make_cipher(engine)) {
  cipher_->set_key(key);
}

AesRng::AesRng(AesRng&&) noexcept = default;
AesRng& AesRng::operator=(AesRng&&) noexcept = default;
AesRng::~AesRng() = default;

AesRng AesRng::from_system() {
  SecretBuffer<u8> key(32);
  kernel_random(key.span());
  AesRng rng(std::span<const u8, 32>(key.data(), 32));
  rng.epoch_ = process_epoch();
  return rng;
}

/// A child of fork() has its parent's key, and must not draw what the parent draws.
void AesRng::leave_parent() {
  SecretBuffer<u8> key(32);
  kernel_random(key.span());
  cipher_->set_key(std::span<const u8, 32>(key.data(), 32));
  block_ = 0;
  epoch_ = process_epoch();
}

void AesRng::change_key() {
  SecretBuffer<u8> key(32);
  cipher_->keystream(kBlocksPerKey, key.span());
  cipher_->set_key(std::span<const u8, 32>(key.data(), 32));
  block_ = 0;
}

void AesRng::fill(std::span<u8> out) {
  if (epoch_ != 0 && epoch_ != process_epoch()) leave_parent();
  while (!out.empty()) {
    const std::size_t left = static_cast<std::size_t>(kBlocksPerKey - block_) * kBlock;
    const std::size_t whole = std::min(out.size(), left) / kBlock * kBlock;
    if (whole != 0) cipher_->keystream(block_, out.first(whole));
    block_ += whole / kBlock;
    out = out.subspan(whole);
    if (block_ == kBlocksPerKey) {
      change_key();
    } else if (!out.empty()) { // less than a block
      SecretBuffer<u8> last(kBlock);
      cipher_->keystream(block_++, last.span());
      std::memcpy(out.data(), last.data(), out.size());
      out = {};
    }
  }
}

} // namespace talaria
