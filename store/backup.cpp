#include "store/backup.h"

#include <algorithm>
#include <utility>

#include "store/copy_writer.h"
#include "store/remover.h"

namespace kokuin::store {

Result<Backup> backup(const std::string& from, const std::string& to) {
    Backup made;
    {
        auto copy = CopyWriter::open(from, to, CopyWriter::Begin::may);
        if (!copy) return std::move(copy).error();
        made.before = (*copy)->next();
        made.same_disk = (*copy)->same_disk();
        const auto names = list_segments(from);
        if (!names) return names.error();
        auto newest = SegmentReader::open(from, names->back());
        if (!newest) return newest.error();
        const auto limit = newest->next();
        if (!limit) return limit.error();
        while (true) {
            const auto end = std::max(*limit, (*copy)->needed());
            const auto more = (*copy)->advance(end);
            if (!more) return more.error();
            if (!*more && (*copy)->next() >= (*copy)->needed()) break;
        }
        made.records = (*copy)->next();
    }
    auto names = list_segments(to);
    if (!names) return names.error();
    // What a reader keeps from being finished now is finished next time.
    for (auto name = names->begin(); name + 1 != names->end(); ++name)
        if (auto done = finish_segment(to, *name); !done) return std::move(done).error();
    const auto removed = carry_out_removals(to, SystemWallClock().now(), [] { return false; });
    // The backup is made, whatever keeps it from letting go of that.
    if (removed) made.removed = removed->removed;
    if (!removed || removed->trouble) made.not_removed = (removed ? *removed->trouble : removed.error()).text;
    made.segments = std::move(*names);
    const auto reader = ArchiveReader::open(to);
    if (!reader) return reader.error();
    auto checkpoint = (*reader)->latest_checkpoint();
    if (!checkpoint) return checkpoint.error();
    made.checkpoint = std::move(*checkpoint);
    return made;
}

}  // namespace kokuin::store
