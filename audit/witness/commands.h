// tsaudit witness: init, serve, visit (docs/witness.md).
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "base/result.h"

namespace kokuin::audit::witness {

/// What their command lines say, as text.
struct Arguments {
    bool json = false;
    std::string key;                ///< file
    std::string name;               ///< init
    std::vector<std::string> logs;  ///< keys of logs, as tlog::VerifierKey::text()
    std::string state;              ///< folder
    std::string listen;             ///< serve: "HOST:PORT"
    bool beyond_loopback = false;   ///< serve
    std::string url;                ///< visit: the log's prefix
};

/// Makes the key's file; its verifier key on `out`.
Done init(const Arguments& arguments, std::ostream& out);
/// Answers logs until SIGTERM, SIGINT or SIGHUP; log lines on stderr. To be called once in a process.
Done serve(const Arguments& arguments);
/// One visit; the cosigned checkpoint on `out`. That the log had contradicted itself before is said on `err`,
/// as long as the files are there that convict it.
Done visit_once(const Arguments& arguments, std::ostream& out, std::ostream& err);

}  // namespace kokuin::audit::witness
