#pragma once

namespace talaria {

/// Makes OpenSSL overwrite every block that it frees: its records hold requests and answers in
/// clear after decryption and before encryption. To be called before OpenSSL has allocated
/// anything; false if that is too late, and nothing has changed.
bool wipe_what_openssl_frees() noexcept;

} // namespace talaria
