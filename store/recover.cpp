#include "store/recover.h"

#include <sys/stat.h>

#include "base/sqlite/sqlite.h"
#include "store/segment.h"

namespace kokuin::store {

Done roll_back_broken_off(const std::string& dir) {
    const auto names = list_segments(dir);
    if (!names) return names.error();
    for (const std::string& name : *names) {
        const std::string path = segment_path(dir, name);
        struct stat status {};
        if (::stat((path + "-journal").c_str(), &status) != 0 || status.st_size == 0) continue;
        auto database = sqlite::Database::open(path, sqlite::Database::Mode::write);
        if (!database) return database.error();
        // Whoever may write and reads does it.
        const auto read = database->integer("SELECT count(*) FROM meta");
        if (!read) return read.error();
    }
    return {};
}

}  // namespace kokuin::store
