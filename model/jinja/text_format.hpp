#pragma once

#include "model/jinja/arguments.hpp"

namespace talaria::model::jinja {

/// format % arguments: %s %r %d %i %x %X %o %f %F %e %E %g %G and %%, with flags, width and
/// precision. `arguments` is a tuple, a mapping for %(name)s, or the one argument.
MarkedText printf_format(const MarkedText& format, const Value& arguments, const Site& site);
/// str.format: {}, {0}, {name} and doubled braces; no attributes and no format after a colon.
MarkedText brace_format(const MarkedText& format, const ArgumentValues& arguments,
                        const Site& site);

} // namespace talaria::model::jinja
