// What every program's main does around its work.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "base/result.h"

namespace CLI {
class App;
}

namespace kokuin {

/// Runs `work` as the program `name` and returns the exit code: what `work` gives, or that of its error,
/// which becomes one line on stderr ("NAME: text"; design section 7), or one for each problem of a
/// configuration. Before that: no core dumps, and SIGPIPE ignored, because a peer or a token behind a socket
/// that dies must not end the process. An answer on stdout that can't be written is an error too.
int run_program(const std::string& name, const std::function<Result<int>()>& work);

/// Reads the command line of the program `name`. False: it asked for help and got it, there is nothing to do.
/// Error: usage, one line. Where a verb is wrong or missing it names the word and the verbs there are.
Result<bool> read_command_line(const std::string& name, CLI::App& app, int argc, char** argv);
/// The same of arguments without the program's name; help goes to `out`.
Result<bool> read_command_line(const std::string& name, CLI::App& app,
                               const std::vector<std::string>& arguments, std::ostream& out);

/// Adds `--json` to a command line whose verbs are still to be added: it may stand before or after the verb,
/// and the help of every verb names it. To be called before add_subcommand().
void add_json_flag(CLI::App& app, bool& json);

/// Log lines of a server go to stderr, with UTC in front.
void log_to_stderr(const std::string& name);
/// "debug", "info", "warn" or "error", as configurations say it.
void set_log_level(const std::string& level);

}  // namespace kokuin
