// A SQLite VFS that fails on order, with the real one beneath: disks that lie in pairs, "failed but
// persisted" and "succeeded but lost".
#pragma once

#include <atomic>
#include <string>

namespace kokuin::store::test {

/// What the next writing operations (write, sync, truncate of databases, logs and journals) do.
struct FailPlan {
    enum class How {
        none,      ///< succeeds
        before,    ///< an error, and nothing is done
        after,     ///< done, and then an error: failed but persisted
        full,      ///< SQLITE_FULL, and half of a write is done
        lose_log,  ///< the log is cut to nothing, then an error: what was acknowledged is gone
        hang,      ///< nothing is done before heal(), then it succeeds
    };
    How how = How::before;
    int skip = 0;          ///< this many operations succeed first
    bool lasting = false;  ///< all after it fail too, until heal()
    std::string only{};    ///< counts for files with this in their path; empty: for all
};

/// Makes the failing VFS SQLite's default, once for the process; without a plan it only passes on.
void install_failing_vfs();
/// From now on.
void plan_failure(const FailPlan& plan);
/// Everything succeeds from now on. How many operations have failed since plan_failure().
int heal();

}  // namespace kokuin::store::test
