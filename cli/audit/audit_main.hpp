#pragma once

namespace talaria::cli {

/// The program `talaria-audit`.
int audit_main(int argc, char** argv);

} // namespace talaria::cli
