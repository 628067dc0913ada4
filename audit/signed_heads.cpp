#include "audit/signed_heads.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "audit/trust.h"
#include "store/log_keys.h"
#include "store/tlog/add_checkpoint.h"

namespace kokuin::audit {
namespace {

/// Signatures that a thread judges before it takes others.
constexpr std::size_t some = 256;

struct Checkpoint {
    std::int64_t size = 0;
    std::string note;
};
struct Cosignature {
    std::int64_t size = 0;
    std::string witness;
    std::string line;
};

/// Calls `judge(i)` for all i below `count`, on all threads.
void share_out(Workers& workers, std::size_t count, const std::function<void(std::size_t)>& judge) {
    for (std::size_t begin = 0; begin < count; begin += some)
        workers.add([&judge, begin, count](unsigned) {
            for (std::size_t i = begin; i < std::min(begin + some, count); ++i) judge(i);
        });
    workers.wait();
}

/// Why a cosignature isn't one of this witness under this checkpoint; empty if it is.
std::string objection(const Cosignature& row, const std::string& checkpoint,
                      const std::vector<tlog::VerifierKey>& keys) {
    const auto note = tlog::Note::parse(checkpoint);
    if (!note) return "";  // told with its checkpoint
    const auto lines = tlog::parse_signature_lines(row.line + "\n");
    if (!lines) return lines.error().text;
    if (lines->size() != 1 || lines->front().name != row.witness) return "its line is of somebody else";
    if (keys.empty())
        return "nobody says which key that witness has (the event witness.key, or the trust file)";
    for (const auto& key : keys)
        if (tlog::check({note->text, *lines}, key).outcome == tlog::Checked::Outcome::good) return "";
    return "the signature is wrong";
}

class Check {
  public:
    Check(store::SegmentScan& scan, const HeadRules& rules, Workers& workers)
        : scan_(scan), rules_(rules), workers_(workers) {}

    SignedHeads run() {
        // Cosignatures first: each of these has its checkpoint by then, also while the archive grows.
        const auto cosignatures = read_cosignatures();
        std::vector<Checkpoint> checkpoints;
        const auto read = scan_.checkpoints([&](std::int64_t size, const std::string& note) {
            checkpoints.push_back({size, note});
        });
        if (!read) object("checkpoint", read.error().text);
        found_.checkpoints = checkpoints.size();
        judge(checkpoints);
        judge(cosignatures, checkpoints);
        return std::move(found_);
    }

  private:
    void object(std::string kind, std::string detail) {
        found_.problems.push_back({std::move(kind), rules_.segment, std::nullopt, "", std::move(detail)});
    }

    std::vector<Cosignature> read_cosignatures() {
        std::vector<Cosignature> rows;
        const auto read =
            scan_.cosignatures([&](std::int64_t size, const std::string& witness, const std::string& line) {
                // A size that is none is told, however old it claims to be.
                if (size < rules_.first || static_cast<std::uint64_t>(size) > rules_.since)
                    rows.push_back({size, witness, line});
            });
        if (!read) object("cosignature", read.error().text);
        return rows;
    }

    void judge(std::vector<Checkpoint>& rows) {
        std::vector<Result<tlog::Checkpoint>> judged(rows.size(), Error::no(""));
        share_out(workers_, rows.size(), [&](std::size_t i) {
            const auto note = tlog::Note::parse(rows[i].note);
            judged[i] =
                note ? store::signed_by(*note, rules_.log_keys) : Result<tlog::Checkpoint>(note.error());
        });
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const std::string name = "the checkpoint of size " + std::to_string(rows[i].size) + ": ";
            if (!judged[i]) {
                object("checkpoint", name + judged[i].error().text);
            } else if (judged[i]->origin != rules_.origin) {
                object("checkpoint", name + "it is of the log " + judged[i]->origin);
            } else {
                place(rows[i], judged[i]->head, name);
            }
        }
    }

    void place(const Checkpoint& row, const tlog::TreeHead& head, const std::string& name) {
        const bool beyond = row.size > rules_.end;
        if (static_cast<std::int64_t>(head.size) != row.size || row.size < 1 || row.size < rules_.first ||
            (beyond && !rules_.grown_to)) {
            object("checkpoint", name + "it stands in the wrong place");
        } else if (beyond && !rules_.grown_to(head.size)) {
            object("missing", name + "so many records were signed; here are " + std::to_string(rules_.end) +
                                  ": the last " + std::to_string(row.size - rules_.end) + " are missing");
        } else if (head.size > rules_.since && !beyond) {
            found_.heads.push_back({head, row.note, false});
        }
    }

    void judge(const std::vector<Cosignature>& rows, const std::vector<Checkpoint>& checkpoints) {
        std::map<std::int64_t, const std::string*> notes;
        for (const Checkpoint& row : checkpoints) notes.emplace(row.size, &row.note);
        std::map<std::string, std::vector<tlog::VerifierKey>> keys;
        for (const Cosignature& row : rows)
            if (!keys.contains(row.witness)) keys[row.witness] = rules_.witness_keys(row.witness);
        std::vector<std::string> objections(rows.size());
        share_out(workers_, rows.size(), [&](std::size_t i) {
            const auto note = notes.find(rows[i].size);
            objections[i] = note == notes.end() ? "there is no checkpoint of this size"
                                                : objection(rows[i], *note->second, keys.at(rows[i].witness));
        });
        std::set<std::uint64_t> seen;
        for (std::size_t i = 0; i < rows.size(); ++i)
            if (objections[i].empty()) {
                if (rules_.is_trusted(rows[i].witness)) seen.insert(static_cast<std::uint64_t>(rows[i].size));
            } else {
                object("cosignature", "the cosignature by the witness '" + rows[i].witness + "' at size " +
                                          std::to_string(rows[i].size) + ": " + objections[i]);
            }
        for (SignedHead& one : found_.heads) one.seen_outside = seen.contains(one.head.size);
    }

    store::SegmentScan& scan_;
    const HeadRules& rules_;
    Workers& workers_;
    SignedHeads found_;
};

}  // namespace

SignedHeads check_heads(store::SegmentScan& scan, const HeadRules& rules, Workers& workers) {
    return Check(scan, rules, workers).run();
}

}  // namespace kokuin::audit
