// tsaudit's command line (design section 7). It reads; it needs no HSM, no server and no operator right.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace kokuin::audit {

/// Runs one command. `arguments` without the program's name. Returns the exit code: 0 yes · 1 nothing found ·
/// 2 wrong usage · 3 the archive can't be read. Errors: one line on `err`.
int run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace kokuin::audit
