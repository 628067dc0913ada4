// What must be done to an archive's files before anybody only reads them.
#pragma once

#include <string>

#include "base/result.h"

namespace kokuin::store {

/// Undoes what a crash has left half-done in the files of `dir`: a change of a segment's file for which
/// SQLite has kept a rollback journal. Who may only read can't, and then can't read. Where there is none it
/// costs a look. Needs no lock: SQLite has its own. Error (environment): the file can't be read or written.
Done roll_back_broken_off(const std::string& dir);

}  // namespace kokuin::store
