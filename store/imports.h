// Imports: what others have written down (who entered a room, who subscribed) and the archive has to keep for
// some years (ARC-1). The event says what it is; its content lies apart (store/personal.h). docs/retention.md
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "store/personal.h"
#include "store/reader.h"
#include "store/record.h"

namespace kokuin::store {

/// Kinds that people choose among: "room-entry", "subscription", "other"; events are "import." and that.
const std::vector<std::string>& import_kinds();

/// One import, as its event says it.
struct Import {
    std::string kind;     ///< of import_kinds()
    std::string subject;  ///< what it is about; no name of a person
    WallTime from{};      ///< the period that the content is about: from ≤ t < to
    WallTime to{};
    KeptContent content;
    std::string why;
    std::string by;
    std::string account;
    // As read:
    WallTime at{};                            ///< when it was imported
    RecordNumber number = 0;                  ///< of its record
    std::optional<WallTime> erased{};         ///< when its erasure was recorded
    std::optional<RecordNumber> erased_by{};  ///< by which record
};

/// When the content has passed its time: its kind's years (store/retention.h) after the end of its period.
WallTime kept_until(const Import& import);

/// Kind "import.KIND"; fields id, octets, from_us, to_us, hmac, why, by, account. Nothing of the content.
Event event_of(const Import& import);

/// Who has a content erased.
struct Erasure {
    std::string id;
    std::string why;
    std::string by;
    std::string account;
    std::string agreed_in{};   ///< the custodians' proposal, hex; empty: nobody had to agree
    std::string custodians{};  ///< those who agreed
};
/// Kind "import.erased", about the id; fields id, why, by, account, and agreed_in and custodians if there are
/// some.
Event event_of(const Erasure& erasure);

/// Visits the events of a kind; ArchiveReader::events, Archive::events.
using EventSource = std::function<Done(const EventQuery&, const Visitor&)>;
/// All of an archive, in the order of their records. Error (environment): an event that says what can't be.
Result<std::vector<Import>> read_imports(const EventSource& events);

/// What an import is now, for people and programs.
struct ImportView {
    Import import;
    /// "whole", "altered", "missing", "unreadable"; "erased"; "still there": its erasure is recorded, and the
    /// content not gone; "not looked at".
    std::string state;
    bool past = false;  ///< past its time, and not erased
};
struct ImportsView {
    std::vector<ImportView> imports;
    /// Files that no import names: a crash came before the event, or somebody has put them there.
    std::vector<std::string> strays;
    /// Nothing is altered, missing, unreadable or still there, and no file is a stray.
    [[nodiscard]] bool ok() const;
};
/// `folder`: null, the contents aren't looked at.
Result<ImportsView> look_at_imports(const EventSource& events, const PersonalFolder* folder, WallTime now);

/// One JSON object: ok, imports (id, kind, subject, from, to, octets, hmac, at, number, by, why, state, past,
/// kept_until, erased), strays.
std::string imports_json(const ImportsView& view);
/// Such an object for people: a line for each.
std::string imports_text(std::string_view json);

}  // namespace kokuin::store
