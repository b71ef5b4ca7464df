#pragma once

namespace talaria::cli {

/// The program `talaria-worker`: loads the layers it is given and proves that it multiplies them
/// rightly.
int worker_main(int argc, char** argv);

} // namespace talaria::cli
