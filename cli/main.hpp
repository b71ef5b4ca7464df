#pragma once

namespace talaria::cli {

/// The program `talaria`. A command of another program (cli/forward.hpp) replaces it.
int talaria_main(int argc, char** argv);

} // namespace talaria::cli
