#pragma once

#include <memory>
#include <span>

#include "core/random.hpp"

namespace talaria {

/// AES-256 in counter mode (NIST SP 800-38A, 6.5), for the many bytes that errors of masks need: by
/// VAES where the machine has it, else by OpenSSL, the same stream either way. After 2^20 blocks
/// the next two are the next key, and the old one is wiped: what leaks later does not open what was
/// drawn before, and no key makes enough blocks for their never repeating to show. Every fill()
/// begins with a block of its own; what is left of the last one is not used.
class AesRng final : public Rng {
public:
  enum class Engine { best, openssl };

  /// Keyed by getrandom(2) at this moment. In a forked child it takes another key first.
  /// @throws Error{internal} if the system yields no randomness.
  static AesRng from_system();
  /// A reproducible stream, for tests.
  explicit AesRng(std::span<const u8, 32> key, Engine engine = Engine::best);
  AesRng(AesRng&&) noexcept;
  AesRng& operator=(AesRng&&) noexcept;
  ~AesRng() override;

  void fill(std::span<u8> out) override;

private:
  class Cipher;
  class OpenSslCipher;
  class VectorCipher;

  static std::unique_ptr<Cipher> make_cipher(Engine engine);
  void change_key();
  void leave_parent();

  std::unique_ptr<Cipher> cipher_;
  u64 block_ = 0; ///< of this key
  u64 epoch_ = 0; ///< process_epoch() when it was keyed by the system; 0: a key was given
};

} // namespace talaria
