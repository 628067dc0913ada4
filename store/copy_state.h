// An archive's second place, for those who configure and watch it.
#pragma once

#include <string>

#include "store/record.h"

namespace kokuin::store {

struct CopySettings {
    std::string dir;
    /// A token goes out only when the copy has its record too.
    bool waits = false;
    /// May be made in `dir` if that is missing or empty; false: a copy was there before, so that its disk is
    /// more likely not mounted.
    bool may_begin = true;
};

/// How the copy does.
struct CopyState {
    enum class Kind {
        behind,   ///< copies what the archive has more
        ready,    ///< has had all of it, and goes along
        failing,  ///< can't be written now, or isn't a copy of this archive; tried again by itself
    };
    Kind kind = Kind::behind;
    std::string text;  ///< one line: what is wrong, what to do; empty unless failing
    std::string dir;
    bool waits = false;
    RecordNumber next = 0;   ///< records below this number are in it
    bool same_disk = false;  ///< it lies on the file system of the archive
};

}  // namespace kokuin::store
