#pragma once

namespace talaria::cli {

/// The program `talaria-enclave`: what is attested. It serves, and does nothing else.
int enclave_main(int argc, char** argv);

} // namespace talaria::cli
