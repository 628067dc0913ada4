#include "store/archive.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "store/copier.h"
#include "store/lock.h"
#include "store/log_mover.h"
#include "store/reader.h"
#include "store/recover.h"
#include "store/segment.h"
#include "store/segment_writer.h"
#include "store/tlog/add_checkpoint.h"

namespace kokuin::store {
namespace {

/// More than ever wait at once; bounds the memory of one transaction.
constexpr std::size_t largest_group = 1024;
constexpr std::chrono::milliseconds recover_every{500};

/// One append that waits.
struct Pending {
    EncodedBody body;
    std::int64_t at_us = 0;
    std::string month;  // empty: no new segment for this one
    std::optional<Salt> salt;
    std::optional<IssuanceKeys> issuance;
    EventKeys event;
    const std::vector<Blob>* blobs = nullptr;
    std::vector<BlobId> needed;
    std::optional<CheckpointRow> checkpoint;    // then it is no record
    std::optional<CosignatureRow> cosignature;  // nor then
    Archive::Outcome outcome;

    void finish(Result<RecordNumber> what) {
        const Archive::Outcome told = std::exchange(outcome, nullptr);  // goes now, with all that it holds
        try {
            told(std::move(what));
        } catch (const std::exception& fault) {
            // The caller's defect must not end the writing for all others.
            spdlog::critical("archive: who appended a record failed at its outcome: {}", fault.what());
        }
    }
};
using Pendings = std::vector<std::unique_ptr<Pending>>;

/// Where a caller waits for its outcome.
class Waiting {
  public:
    Archive::Outcome outcome() {
        return [this](Result<RecordNumber> what) {
            // Notified under the lock: once the caller can see the outcome it may destroy this.
            const std::lock_guard lock(mutex_);
            outcome_.emplace(std::move(what));
            finished_.notify_one();
        };
    }
    Result<RecordNumber> wait() {
        std::unique_lock lock(mutex_);
        finished_.wait(lock, [&] { return outcome_.has_value(); });
        return std::move(*outcome_);
    }

  private:
    std::mutex mutex_;
    std::condition_variable finished_;
    std::optional<Result<RecordNumber>> outcome_;
};

/// The newest checkpoint of the log that is written, and the newest one that somebody has cosigned. Those of
/// a log before (restore.h) cover nothing of this one.
struct Newest {
    std::optional<StoredCheckpoint> checkpoint;
    std::optional<StoredCheckpoint> witnessed;
};
Result<Newest> newest_in(const std::string& dir) {
    const auto reader = ArchiveReader::open(dir);
    if (!reader) return reader.error();
    auto checkpoint = (*reader)->latest_checkpoint();
    if (!checkpoint) return checkpoint.error();
    auto witnessed = (*reader)->latest_witnessed();
    if (!witnessed) return witnessed.error();
    for (auto* one : {&*checkpoint, &*witnessed})
        if (*one && !(*one)->note.starts_with((*reader)->origin() + "\n")) one->reset();
    return Newest{std::move(*checkpoint), std::move(*witnessed)};
}

/// The end of the segment before the newest must be where the newest begins.
Done check_seam(const std::string& dir, const Meta& newest) {
    if (newest.previous.empty()) return {};
    const std::string path = segment_path(dir, newest.previous);
    if (::access(path.c_str(), F_OK) != 0) {
        spdlog::warn("archive segment={} is not in {}: tokens of that month can't be looked up here",
                     newest.previous, dir);
        return {};
    }
    auto database = sqlite::Database::open(path, sqlite::Database::Mode::write);
    if (!database) return database.error();
    database->keep_log_on_close();
    const auto meta = read_meta(*database, path);
    if (!meta) return meta.error();
    const auto last = database->integer("SELECT ifnull(max(number), -1) FROM record");
    if (!last) return last.error();
    const RecordNumber next = *last < 0 ? meta->first : *last + 1;
    if (meta->archive != newest.archive)
        return Error::environment(path + ": belongs to another archive than " + newest.segment +
                                  ": put the right file in its place");
    if (next != newest.first)
        return Error::environment(path + ": ends before record " + std::to_string(next) + ", but " +
                                  newest.segment + " begins with " + std::to_string(newest.first) +
                                  ": the archive is damaged; keep the files, restore a copy");
    return {};
}

}  // namespace

class Archive::Writer {
  public:
    Writer(std::string dir, Lock lock, std::unique_ptr<SegmentWriter> segment, ArchiveOptions options,
           Newest newest, std::unique_ptr<Copier> copier)
        : options_(std::move(options)),
          waits_for_copy_(options_.copy && options_.copy->waits),
          dir_(std::move(dir)),
          lock_(std::move(lock)),
          id_(segment->meta().archive),
          origin_(segment->meta().origin),
          acknowledged_(segment->next()),
          segment_(std::move(segment)),
          mover_(dir_),
          copier_(std::move(copier)) {
        state_.segment = segment_->meta().segment + ".sqlite";
        state_.next = acknowledged_;
        tree_ = segment_->edge().tree();
        if (newest.checkpoint) {
            state_.covered = newest.checkpoint->size;
            checkpoint_ = std::move(newest.checkpoint->note);
        }
        if (newest.witnessed) witnessed_ = std::move(*newest.witnessed);
        thread_ = std::thread([this] { run(); });
    }

    ~Writer() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        work_.notify_all();
        thread_.join();
        copier_.reset();  // copies the rest, and tells those that wait for it
        mover_.let_go();
        segment_.reset();  // the last connection: moves the log into the file and removes it
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void append(std::unique_ptr<Pending> pending) {
        for (const BlobId& id : pending->needed)
            if (std::none_of(pending->blobs->begin(), pending->blobs->end(),
                             [&](const Blob& blob) { return blob.id() == id; }))
                return pending->finish(
                    Error::usage("record: names the blob " + to_hex(id) + ", which did not come with it"));
        if (pending->body.context) pending->needed.push_back(pending->body.context->id());
        if (waits_for_copy_ && pending->issuance)
            if (const auto trouble = copier_->trouble(); !trouble.empty())
                return pending->finish(Error::environment("archive: " + trouble));
        bool wake = false;
        {
            const std::lock_guard lock(mutex_);
            queue_.push_back(std::move(pending));
            wake = !waits_for_company_ || has_company();
        }
        if (wake) work_.notify_one();
    }

    void announce() {
        const std::lock_guard lock(mutex_);
        ++announced_;
    }
    void announced_has_come() {
        bool wake = false;
        {
            const std::lock_guard lock(mutex_);
            --announced_;
            wake = waits_for_company_ && has_company();
        }
        if (wake) work_.notify_one();
    }

    ArchiveState state() const {
        ArchiveState state;
        {
            const std::lock_guard lock(state_mutex_);
            state = state_;
        }
        if (waits_for_copy_ && state.kind == ArchiveState::Kind::ready)
            if (const auto trouble = copier_->trouble(); !trouble.empty()) {
                state.kind = ArchiveState::Kind::failing;
                state.text = trouble;
            }
        return state;
    }
    std::optional<CopyState> copy() const { return copier_ ? std::optional(copier_->state()) : std::nullopt; }
    tlog::TreeHead head() const {
        tlog::Growing tree;
        {
            const std::lock_guard lock(state_mutex_);
            tree = tree_;
        }
        return tree.head();
    }
    std::string checkpoint() const {
        const std::lock_guard lock(state_mutex_);
        return checkpoint_;
    }
    std::string witnessed() const {
        const std::lock_guard lock(state_mutex_);
        return witnessed_.note;
    }
    const std::string& id() const { return id_; }
    const std::string& origin() const { return origin_; }
    const std::string& dir() const { return dir_; }

    /// Segments whose log may still stand.
    void finish(const std::vector<std::string>& names) {
        for (const std::string& name : names) mover_.finish(name);
    }

  private:
    // Enough has come to be worth a commit: twice what is still on its way. mutex_ is held.
    bool has_company() const { return queue_.size() >= std::min(2 * announced_, largest_group); }

    void run() {
        Pendings group;
        while (true) {
            const bool others_wait = copier_ && copier_->give_up();
            {
                std::unique_lock lock(mutex_);
                const auto has_work = [&] { return stop_ || !queue_.empty(); };
                if ((segment_ || in_doubt_) && !others_wait) {
                    work_.wait(lock, has_work);
                } else {
                    work_.wait_for(lock, recover_every, has_work);
                }
                if (queue_.empty() && stop_) return;
                if (segment_) {
                    waits_for_company_ = true;
                    work_.wait_for(lock, options_.company, [&] { return stop_ || has_company(); });
                    waits_for_company_ = false;
                }
                const auto end =
                    queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), largest_group));
                group.assign(std::move_iterator(queue_.begin()), std::move_iterator(end));
                queue_.erase(queue_.begin(), end);
            }
            if (!segment_ && !in_doubt_) recover();
            write(group);
            if (mover_.wants_pause()) {
                if (segment_)
                    if (const auto done = segment_->catch_up(); !done) fail(done.error());
                mover_.caught_up();
            }
        }
    }

    void write(Pendings& group) {
        std::size_t begin = 0;
        while (begin < group.size()) {
            std::size_t end = begin;
            if (segment_) {
                if (group[begin]->month > segment_->meta().segment) switch_segment(group[begin]->month);
            }
            if (!segment_) {
                for (; begin < group.size(); ++begin) group[begin]->finish(Error::environment(trouble_));
                return;
            }
            while (end < group.size() && group[end]->month <= segment_->meta().segment) ++end;
            commit(group, begin, end);
            begin = end;
        }
    }

    void commit(Pendings& group, std::size_t begin, std::size_t end) {
        RecordNumber number = segment_->next();
        std::vector<Row> rows;
        rows.reserve(end - begin);
        std::vector<CheckpointRow> checkpoints;
        std::vector<CosignatureRow> cosignatures;
        std::vector<std::string> notes;  // that they are under
        std::vector<RecordNumber> numbers;
        for (std::size_t i = begin; i < end; ++i) {
            const Pending& pending = *group[i];
            numbers.push_back(number);
            if (pending.cosignature) {
                auto note = note_under(*pending.cosignature);
                if (!note) {
                    group[i]->finish(note.error());
                    continue;
                }
                cosignatures.push_back(*pending.cosignature);
                notes.push_back(std::move(*note));
                continue;
            }
            if (pending.checkpoint) {
                if (pending.checkpoint->size >= static_cast<std::uint64_t>(segment_->meta().first))
                    checkpoints.push_back(*pending.checkpoint);
                continue;
            }
            Row row;
            row.der = encode_around(number++, pending.at_us, pending.salt, pending.body);
            if (pending.issuance) {
                row.keys = &*pending.issuance;
            } else {
                row.keys = pending.event;
            }
            row.blobs = pending.blobs;
            row.needed = &pending.needed;
            if (pending.body.context) row.context = &*pending.body.context;
            rows.push_back(std::move(row));
        }
        if (const auto done = segment_->commit(rows, checkpoints, cosignatures); !done) {
            fail(done.error());
            for (std::size_t i = begin; i < end; ++i)
                if (group[i]->outcome) group[i]->finish(Error::environment(trouble_));
            return;
        }
        acknowledged_ = segment_->next();
        {
            const std::lock_guard lock(state_mutex_);
            state_.next = acknowledged_;
            ++state_.groups;
            state_.records += rows.size();
            tree_ = segment_->edge().tree();
            for (CheckpointRow& checkpoint : checkpoints) {
                if (checkpoint.size < state_.covered) continue;
                state_.covered = checkpoint.size;
                checkpoint_ = std::move(checkpoint.note);
            }
            for (std::size_t i = 0; i < cosignatures.size(); ++i) show(cosignatures[i], notes[i]);
        }
        const auto copy_trouble = waits_for_copy_ ? copier_->trouble() : std::string();
        std::vector<Copier::Told> told;
        for (std::size_t i = begin; i < end; ++i) {
            if (!group[i]->outcome) continue;  // told already
            if (group[i]->checkpoint &&
                group[i]->checkpoint->size < static_cast<std::uint64_t>(segment_->meta().first)) {
                group[i]->finish(Error::no("the segment " + segment_->meta().segment +
                                           " has begun since that head: sign a new one"));
            } else if (waits_for_copy_ && copy_trouble.empty()) {
                told.push_back(when_copied(std::move(group[i]), numbers[i - begin]));
            } else if (group[i]->issuance && !copy_trouble.empty()) {
                group[i]->finish(Error::environment("archive: " + copy_trouble));
            } else {
                group[i]->finish(numbers[i - begin]);
            }
        }
        mover_.committed(segment_->meta().segment, segment_->log_frames());
        if (copier_) copier_->committed(acknowledged_, std::move(told));
    }

    /// A token stays here unless its record is in both places; for everything else this one is enough, and
    /// the copy gets it later: who tried again would write it twice.
    static Copier::Told when_copied(std::shared_ptr<Pending> pending, RecordNumber number) {
        return [pending = std::move(pending), number](const std::optional<Error>& error) {
            if (error && pending->issuance)
                pending->finish(Error::environment("archive: " + error->text));
            else
                pending->finish(number);
        };
    }

    /// The checkpoint that a cosignature is under.
    Result<std::string> note_under(const CosignatureRow& cosignature) {
        auto note = segment_->checkpoint(cosignature.size);
        if (!note) return note.error();
        if (!*note)
            return Error::no("the segment " + segment_->meta().segment + " has no checkpoint of size " +
                             std::to_string(cosignature.size) + ": let a newer one be cosigned");
        return std::move(**note);
    }

    /// With state_mutex_ held.
    void show(const CosignatureRow& cosignature, const std::string& note) {
        if (cosignature.size < witnessed_.size) return;
        if (cosignature.size > witnessed_.size) witnessed_ = {cosignature.size, note, ""};
        const std::string line = cosignature.line + "\n";
        const auto name = line.substr(0, line.rfind(' ') + 1);
        if (witnessed_.note.find("\n" + name) == std::string::npos) witnessed_.note += line;
    }

    void switch_segment(const std::string& month) {
        const Meta old = segment_->meta();
        if (const auto done = create_segment(
                dir_, {id_, origin_, month, segment_->next(), old.segment, old.format}, segment_->edge());
            !done)
            return fail(done.error());
        auto opened = SegmentWriter::open(dir_, month);
        if (!opened) return fail(opened.error());
        segment_->leave_log();
        segment_ = std::move(*opened);
        mover_.finish(old.segment);
        const std::lock_guard lock(state_mutex_);
        state_.segment = month + ".sqlite";
    }

    /// After this nothing is written before recover() has looked at the file.
    void fail(const Error& error) {
        trouble_ = "archive " + error.text;
        spdlog::error("archive failing: {}", trouble_);
        segment_.reset();
        mover_.let_go();
        const std::lock_guard lock(state_mutex_);
        state_.kind = ArchiveState::Kind::failing;
        state_.text = trouble_;
    }

    void doubt(const std::string& what) {
        in_doubt_ = true;
        trouble_ = "archive " + dir_ + " is in doubt and stopped for good: " + what +
                   "; keep its files, find out what happened, then start again";
        spdlog::critical("archive in doubt: {}", trouble_);
        segment_.reset();
        const std::lock_guard lock(state_mutex_);
        state_.kind = ArchiveState::Kind::in_doubt;
        state_.text = trouble_;
    }

    void recover() {
        mover_.let_go();
        const auto names = list_segments(dir_);
        if (!names) return fail_again(names.error());
        // An empty folder is more likely a disk that isn't mounted now than an archive that is gone: wait for
        // it.
        if (names->empty())
            return fail_again(
                Error::environment(dir_ + ": holds no segments any more: is its disk mounted?"));
        if (auto done = sync_folder(dir_); !done) return fail_again(done.error());
        auto opened = SegmentWriter::open(dir_, names->back());
        if (!opened) return fail_again(opened.error());
        const SegmentWriter& segment = **opened;
        if (segment.meta().archive != id_)
            return fail_again(
                Error::environment(dir_ + ": holds another archive now: is the right disk mounted?"));
        if (segment.next() < acknowledged_)
            return doubt("record " + std::to_string(acknowledged_ - 1) +
                         " was acknowledged, but the last one there is " +
                         std::to_string(segment.next() - 1));
        if (segment.next() > acknowledged_)
            spdlog::warn(
                "archive recovered: records {} to {} were written though their write was reported as failed; "
                "nobody was told of them, they stay",
                acknowledged_, segment.next() - 1);
        segment_ = std::move(*opened);
        acknowledged_ = segment_->next();
        // A checkpoint may be there whose write was reported as failed.
        std::optional<StoredCheckpoint> newest;
        if (auto found = newest_in(dir_)) newest = std::move(found->checkpoint);
        std::vector<std::string> older(names->begin(), names->end() - 1);
        if (!older.empty()) mover_.finish(older.back());
        spdlog::info("archive recovered: next record {}", acknowledged_);
        const std::lock_guard lock(state_mutex_);
        state_.kind = ArchiveState::Kind::ready;
        state_.text.clear();
        state_.segment = segment_->meta().segment + ".sqlite";
        state_.next = acknowledged_;
        tree_ = segment_->edge().tree();
        if (newest) {
            state_.covered = newest->size;
            checkpoint_ = newest->note;
        }
        if (copier_) copier_->committed(acknowledged_, {});
    }

    void fail_again(const Error& error) {
        trouble_ = "archive " + error.text;
        const std::lock_guard lock(state_mutex_);
        state_.text = trouble_;
    }

    const ArchiveOptions options_;
    const bool waits_for_copy_;
    const std::string dir_;
    Lock lock_;
    const std::string id_;
    const std::string origin_;

    // The writing thread's own.
    RecordNumber acknowledged_;               // the next number after the last one acknowledged
    std::unique_ptr<SegmentWriter> segment_;  // none while failing
    bool in_doubt_ = false;
    std::string trouble_;

    LogMover mover_;
    std::unique_ptr<Copier> copier_;

    std::mutex mutex_;
    std::condition_variable work_;
    Pendings queue_;
    std::size_t announced_ = 0;  // records on their way
    bool waits_for_company_ = false;
    bool stop_ = false;

    mutable std::mutex state_mutex_;
    ArchiveState state_;
    tlog::Growing tree_;          // over the acknowledged records
    std::string checkpoint_;      // the newest durable one
    StoredCheckpoint witnessed_;  // the newest that is cosigned, with the cosignatures
    std::thread thread_;
};

Archive::Archive(std::unique_ptr<Writer> writer) : writer_(std::move(writer)) {}
Archive::~Archive() = default;

Done Archive::create(const std::string& dir, WallTime at, const std::string& name) {
    const std::string id = to_hex(random_octets(16));
    const std::string origin = name + "/" + id;
    if (const auto named = tlog::VerifierKey::make(origin, tlog::VerifierKey::Type::ed25519, Bytes(32));
        !named)
        return named.error();
    if (::mkdir(dir.c_str(), 0750) != 0 && errno != EEXIST)
        return Error::environment(dir + ": can't be made: " + std::strerror(errno) +
                                  "; its parent folder must exist and be writable");
    const auto names = list_segments(dir);
    if (!names) return names.error();
    if (!names->empty()) return Error::usage(dir + ": holds an archive already; nothing was changed");
    const auto lock = Lock::take(dir);
    if (!lock) return lock.error();
    const auto again = list_segments(dir);
    if (!again) return again.error();
    if (!again->empty()) return Error::usage(dir + ": holds an archive already; nothing was changed");
    const std::string month = month_of(to_unix_us(at));
    if (auto done = create_segment(dir, {id, origin, month, 0, "", plain_format}, TileEdge()); !done)
        return done;
    return sync_folder(parent_of(dir));
}

Result<std::unique_ptr<Archive>> Archive::open(const std::string& dir, ArchiveOptions options) {
    const auto names = list_segments(dir);
    if (!names) return names.error();
    if (names->empty()) return Error::usage(dir + ": no archive here; make one with: " + init_command());
    auto lock = Lock::take(dir);
    if (!lock) return lock.error();
    if (auto done = roll_back_broken_off(dir); !done) return std::move(done).error();
    const auto locked_names = list_segments(dir);
    if (!locked_names) return locked_names.error();
    auto segment = SegmentWriter::open(dir, locked_names->back());
    if (!segment) return segment.error();
    if (auto done = check_seam(dir, (*segment)->meta()); !done) return done.error();
    auto newest = newest_in(dir);
    if (!newest) return newest.error();
    std::unique_ptr<Copier> copier;
    if (options.copy) {
        auto started = Copier::start(dir, *options.copy, (*segment)->next());
        if (!started) return started.error();
        copier = std::move(*started);
    }
    auto writer = std::make_unique<Writer>(dir, std::move(*lock), std::move(*segment), std::move(options),
                                           std::move(*newest), std::move(copier));
    writer->finish({locked_names->begin(), locked_names->end() - 1});
    return std::unique_ptr<Archive>(new Archive(std::move(writer)));
}

Result<RecordNumber> Archive::append(WallTime at, const Issuance& issuance, const std::vector<Blob>& blobs) {
    Waiting waiting;
    append(at, issuance, blobs, waiting.outcome());
    return waiting.wait();
}

void Archive::append(WallTime at, const Issuance& issuance, const std::vector<Blob>& blobs, Outcome outcome) {
    auto body = encode_body(issuance);
    if (!body) return outcome(body.error());
    auto pending = std::make_unique<Pending>();
    pending->body = std::move(*body);
    pending->at_us = to_unix_us(at);
    pending->month = month_of(pending->at_us);
    pending->issuance = keys_of(issuance);
    pending->blobs = &blobs;
    pending->needed = blobs_of(issuance);
    pending->outcome = std::move(outcome);
    writer_->append(std::move(pending));
}

Result<RecordNumber> Archive::append(WallTime at, const Event& event, const std::vector<Blob>& blobs,
                                     Month month) {
    auto body = encode_body(event);
    if (!body) return body.error();
    Waiting waiting;
    auto pending = std::make_unique<Pending>();
    pending->body = std::move(*body);
    pending->at_us = to_unix_us(at);
    if (month == Month::may_begin) pending->month = month_of(pending->at_us);
    const Bytes random = random_octets(16);
    pending->salt.emplace();
    std::copy(random.begin(), random.end(), pending->salt->begin());
    pending->event = {event.kind, event.subject};
    pending->blobs = &blobs;
    pending->needed = blobs_of(event);
    pending->outcome = waiting.outcome();
    writer_->append(std::move(pending));
    return waiting.wait();
}

tlog::TreeHead Archive::head() const {
    return writer_->head();
}

Done Archive::add_checkpoint(const tlog::TreeHead& head, const tlog::Note& note) {
    Waiting waiting;
    const std::vector<Blob> no_blobs;
    auto pending = std::make_unique<Pending>();
    pending->checkpoint = CheckpointRow{head.size, note.write()};
    pending->blobs = &no_blobs;
    pending->outcome = waiting.outcome();
    writer_->append(std::move(pending));
    if (const auto number = waiting.wait(); !number) return number.error();
    return {};
}

std::string Archive::checkpoint() const {
    return writer_->checkpoint();
}

Done Archive::add_cosignature(std::uint64_t size, const tlog::NoteSignature& line) {
    Waiting waiting;
    const std::vector<Blob> no_blobs;
    auto pending = std::make_unique<Pending>();
    std::string text = tlog::write_signature_lines({line});
    text.pop_back();
    pending->cosignature = CosignatureRow{size, line.name, std::move(text)};
    pending->blobs = &no_blobs;
    pending->outcome = waiting.outcome();
    writer_->append(std::move(pending));
    if (const auto number = waiting.wait(); !number) return number.error();
    return {};
}

std::string Archive::witnessed() const {
    return writer_->witnessed();
}

const std::string& Archive::origin() const {
    return writer_->origin();
}

Archive::Announcement Archive::announce() {
    writer_->announce();
    return Announcement(this);
}

Archive::Announcement::~Announcement() {
    if (archive_) archive_->writer_->announced_has_come();
}

Result<std::optional<Record>> Archive::latest_event(const std::string& kind,
                                                    const std::string& subject) const {
    auto reader = ArchiveReader::open(writer_->dir());
    if (!reader) return reader.error();
    auto found = (*reader)->latest_event(kind, subject);
    if (!found) return found.error();
    if (!*found) return std::optional<Record>();
    return std::optional<Record>(std::move((*found)->record));
}

Done Archive::events(const EventQuery& query, const Visitor& visit) const {
    auto reader = ArchiveReader::open(writer_->dir());
    if (!reader) return reader.error();
    return (*reader)->events(query, visit);
}

Result<Bytes> Archive::blob(const BlobId& id, const std::string& segment) const {
    auto reader = ArchiveReader::open(writer_->dir());
    if (!reader) return reader.error();
    return (*reader)->blob(id, segment);
}

ArchiveState Archive::state() const {
    return writer_->state();
}

std::optional<CopyState> Archive::copy() const {
    return writer_->copy();
}

std::optional<std::string> Archive::in_doubt() const {
    const ArchiveState state = writer_->state();
    if (state.kind != ArchiveState::Kind::in_doubt) return std::nullopt;
    return state.text;
}

const std::string& Archive::id() const {
    return writer_->id();
}

}  // namespace kokuin::store
