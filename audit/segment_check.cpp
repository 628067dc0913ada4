#include "audit/segment_check.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "audit/token_check.h"
#include "store/context.h"

namespace kokuin::audit {
namespace {

using store::Event;
using store::Issuance;
using store::OwnIssuance;
using store::RecordNumber;
using store::SegmentScan;

constexpr std::array<const char*, RowSums::tables> table_names{"by_serial", "by_time", "by_imprint", "event"};

std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31U);
}

Bytes event_row(std::string_view kind, std::string_view subject) {
    Bytes row(as_view(kind).begin(), as_view(kind).end());
    row.push_back(0);
    append(row, as_view(subject));
    return row;
}

std::string hex_or_none(const Bytes& serial) {
    return serial.empty() ? "none" : to_hex(serial);
}

/// What each table has to say of a record; nothing for tables that it isn't in.
std::array<std::optional<Bytes>, RowSums::tables> rows_of(const store::BareRecord& record) {
    std::array<std::optional<Bytes>, RowSums::tables> rows;
    if (const auto* event = std::get_if<Event>(&record.body)) {
        rows[RowSums::events] = event_row(event->kind, event->subject);
        return rows;
    }
    const auto keys = store::index_keys(std::get<OwnIssuance>(record.body));
    const auto octets = [](std::int64_t value) {
        Bytes row(sizeof value);
        std::memcpy(row.data(), &value, sizeof value);
        return row;
    };
    rows[RowSums::serials] = keys.serial;
    rows[RowSums::times] = octets(keys.gen_time_us);
    rows[RowSums::imprints] = octets(keys.imprint);
    return rows;
}

/// Visits a table of the index as rows_of() writes it.
Done visit_table(SegmentScan& scan, RowSums::Table table,
                 const std::function<void(View, RecordNumber)>& visit) {
    const auto number = [&](std::int64_t value, RecordNumber of) {
        std::array<std::uint8_t, sizeof value> row{};
        std::memcpy(row.data(), &value, sizeof value);
        visit(row, of);
    };
    switch (table) {
        case RowSums::serials:
            return scan.serials(visit);
        case RowSums::times:
            return scan.times(number);
        case RowSums::imprints:
            return scan.imprints(number);
        default:
            return scan.events([&](RecordNumber of, std::string_view kind, std::string_view subject) {
                visit(event_row(kind, subject), of);
            });
    }
}

}  // namespace

RowSums::Key RowSums::Key::make() {
    Key key;
    const Bytes random = random_octets(sizeof key.words);
    std::memcpy(key.words.data(), random.data(), random.size());
    return key;
}

std::uint64_t RowSums::hash(const Key& key, View row, std::uint64_t number) {
    std::uint64_t state = key.words[0] ^ row.size();
    for (std::size_t at = 0; at < row.size(); at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, row.data() + at, std::min<std::size_t>(8, row.size() - at));
        state = mix(state ^ word) * 0x9e3779b97f4a7c15U + key.words[1];
    }
    return mix(mix(state ^ (number + key.words[2])) + key.words[3]);
}

void RowSums::add(const RowSums& other) {
    for (std::size_t table = 0; table < tables; ++table) {
        sums_[table] += other.sums_[table];
        counts_[table] += other.counts_[table];
    }
}

class RecordCheck::Impl {
  public:
    Impl(const CheckContext& context, std::string segment, SegmentScan scan)
        : context_(context),
          segment_(std::move(segment)),
          scan_(std::move(scan)),
          tokens_(context.trust, context.keys, [this](const store::BlobId& id) { return scan_.blob(id); }) {}

    Stretch check(RecordNumber first, std::int64_t count) {
        Stretch stretch;
        RecordNumber next = first;
        const auto take = [&](RecordNumber number, View der) {
            for (; next < number; ++next) missing(stretch, next);
            look(stretch, number, der);
            next = number + 1;
        };
        const auto done = scan_.records(first, first + count - 1, take);
        // Where the table can't be read in its order: what can still be found, one by one.
        for (; !done && next < first + count; ++next) {
            const auto one = scan_.record(next);
            if (one && *one) {
                look(stretch, next, **one);
            } else {
                stretch.leaves.emplace_back();
                object(stretch, one ? "missing" : "damaged", next,
                       one ? "the record can't be found: its page is damaged" : one.error().text);
            }
        }
        for (; next < first + count; ++next) missing(stretch, next);
        return stretch;
    }

  private:
    void object(Stretch& stretch, std::string kind, RecordNumber number, std::string detail,
                const std::string& serial = "") const {
        stretch.problems.push_back({std::move(kind), segment_, number, serial, std::move(detail)});
    }
    void missing(Stretch& stretch, RecordNumber number) const {
        stretch.leaves.emplace_back();
        object(stretch, "missing", number, "the record isn't there");
    }

    void look(Stretch& stretch, RecordNumber number, View der) {
        if (store::is_removed(der)) {
            stretch.leaves.emplace_back(store::leaf_of(der));
            return store::add_to(stretch.removed, number);
        }
        auto record = store::decode_bare(der);
        if (!record) {
            // Not what was signed; its tile still says what was.
            stretch.leaves.emplace_back();
            return object(stretch, "damaged", number,
                          der.empty() ? "it is empty, or isn't octets" : record.error().text);
        }
        stretch.leaves.emplace_back(tlog::leaf_hash(der));
        const auto* own = std::get_if<OwnIssuance>(&record->body);
        const auto rows = rows_of(*record);
        const auto serial = [&] { return own ? to_hex(*rows[RowSums::serials]) : ""; };
        if (record->number != number)
            object(stretch, "moved", number,
                   "in its place stands what says that it is record " + std::to_string(record->number),
                   serial());
        for (std::size_t table = 0; table < RowSums::tables; ++table)
            if (rows[table])
                stretch.sums.add(
                    static_cast<RowSums::Table>(table),
                    RowSums::hash(context_.key, *rows[table], static_cast<std::uint64_t>(number)));
        if (!own) {
            ++stretch.events;
            for (const auto& id : store::blobs_of(std::get<Event>(record->body))) {
                stretch.blobs.insert(id);
                const auto content = scan_.blob(id);
                if (!content || !*content || store::blob_id(**content) != id)
                    object(stretch, "blob", number,
                           content && *content ? "the blob " + to_hex(id) + " isn't what its name says"
                                               : "the blob " + to_hex(id) + " is missing");
            }
            return;
        }
        ++stretch.tokens;
        stretch.serials.push_back(RowSums::hash(context_.key, *rows[RowSums::serials], 0));
        stretch.blobs.insert(own->context);
        const auto whole = store::complete(std::move(*record), shared_,
                                           [this](const store::BlobId& id) { return scan_.blob(id); });
        if (!whole) {
            stretch.context_lost = true;
            return object(stretch, "blob", number, whole.error().text, serial());
        }
        const auto& issuance = std::get<Issuance>(whole->body);
        if (!issuance.tac) ++stretch.without_tac;
        for (const auto& id : store::blobs_of(issuance)) stretch.blobs.insert(id);
        auto objections = tokens_.check(*whole, issuance);
        // Others are judged by its time only if it is the one that was issued.
        if (objections.empty()) stretch.times.push_back({number, issuance.gen_time_us});
        for (auto& objection : objections)
            object(stretch, std::move(objection.kind), number, std::move(objection.detail), serial());
    }

    const CheckContext& context_;
    const std::string segment_;
    SegmentScan scan_;
    store::Contexts shared_;
    TokenCheck tokens_;
};

RecordCheck::RecordCheck(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RecordCheck::~RecordCheck() = default;

Result<std::unique_ptr<RecordCheck>> RecordCheck::open(const CheckContext& context,
                                                       const std::string& segment) {
    auto scan = SegmentScan::open(context.dir, segment);
    if (!scan) return scan.error();
    return std::unique_ptr<RecordCheck>(
        new RecordCheck(std::make_unique<Impl>(context, segment, std::move(*scan))));
}

Stretch RecordCheck::check(RecordNumber first, std::int64_t count) {
    return impl_->check(first, count);
}

Result<RowSums> index_sums(const CheckContext& context, const std::string& segment, RowSums::Table table,
                           RecordNumber first, RecordNumber end, std::vector<RecordNumber>& stray) {
    auto scan = SegmentScan::open(context.dir, segment);
    if (!scan) return scan.error();
    RowSums sums;
    const auto done = visit_table(*scan, table, [&](View row, RecordNumber number) {
        if (number < first || number >= end) {
            stray.push_back(number);
        } else {
            sums.add(table, RowSums::hash(context.key, row, static_cast<std::uint64_t>(number)));
        }
    });
    if (!done) return done.error();
    return sums;
}

std::vector<Problem> find_index_problems(const CheckContext& context, const std::string& segment,
                                         RowSums::Table table, RecordNumber first, RecordNumber end) {
    std::vector<Problem> problems;
    const std::string name = table_names[table];
    auto scan = SegmentScan::open(context.dir, segment);
    if (!scan) return problems;  // told elsewhere
    std::map<RecordNumber, Bytes> rows;
    const auto object = [&](RecordNumber number, std::string detail) {
        const bool serials = table == RowSums::serials;
        const auto at = rows.find(number);
        problems.push_back({"index", segment, number, serials && at != rows.end() ? to_hex(at->second) : "",
                            std::move(detail)});
    };
    std::map<RecordNumber, Bytes> expected;
    std::set<RecordNumber> unreadable;
    const auto read = scan->records(first, end - 1, [&](RecordNumber number, View der) {
        if (store::is_removed(der)) return;  // the index names none of these
        const auto record = store::decode_bare(der);
        if (!record) unreadable.insert(number);  // told already; what the index should say of it nobody knows
        if (!record) return;
        if (auto row = rows_of(*record)[table]) expected.emplace(number, std::move(*row));
    });
    const auto walked = visit_table(*scan, table, [&](View row, RecordNumber number) {
        if (number < first || number >= end) return;
        if (!rows.emplace(number, to_bytes(row)).second)
            object(number, "the table " + name + " names it twice");
    });
    if (!read || !walked)
        object(first, "the table " + name + " can't be compared: " + (read ? walked : read).error().text);
    for (const auto& [number, row] : expected) {
        const auto found = rows.find(number);
        if (found == rows.end()) {
            object(number, "the table " + name + " lacks it");
        } else if (found->second != row) {
            object(number, table == RowSums::serials
                               ? "the table by_serial names it under " + hex_or_none(found->second) +
                                     " instead of " + to_hex(row)
                               : "the table " + name + " says something else of it");
        }
    }
    for (const auto& [number, row] : rows)
        if (!expected.contains(number) && !unreadable.contains(number))
            object(number, "the table " + name + " names it, and it isn't one of its records");
    return problems;
}

}  // namespace kokuin::audit
