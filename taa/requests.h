// What a TSU says to its TAA: POST /audit/request, it asks for an audit (TAC-9); POST /audit/notice, its key
// is compromised (KEY-6).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/net/router.h"
#include "base/result.h"
#include "taa/config.h"
#include "taa/timetable.h"

namespace kokuin::taa {

/// Brings forward the audit of the TSU of this name (Scheduler::request).
using Ask = std::function<std::optional<Timetable::Answer>(const std::string& tsu)>;

/// Why a TSU isn't served (Admissions::refusal) for this certificate (DER; empty: it isn't about one);
/// nothing: it is.
using Refusal = std::function<std::optional<std::string>(const std::string& tsu, View certificate)>;

/// A TSU asks to be audited for its next certificate (Successors::show).
using Show = std::function<Done(const TsuSettings& tsu, View certificate)>;

/// A TSU says that a key of it is compromised. Error (no): not one of its own; (environment): it couldn't be
/// recorded.
using Compromised =
    std::function<Done(const TsuSettings& tsu, View certificate_sha256, const std::string& text)>;

/// Adds POST /audit/request. `tsus`: who may ask; the peer must have shown a channel certificate with the DNS
/// name that the configuration has for the TSU it asks for, and the body must call the TSU what its TSA calls
/// it. 200 with tac::AuditAnswer · 400 no readable request · 403 not this peer's TSU (or nobody's: a stranger
/// isn't told which there are), or not served at present, or its next certificate isn't taken.
void add_request_route(net::Router& router, const std::vector<TsuSettings>& tsus, const Pace& pace,
                       Refusal refusal, Show show, Ask ask);
/// Adds POST /audit/notice, a tac::Notice of a compromised key, from the same peers: also of a TSU that isn't
/// served. 200 with tac::NoticeAnswer: it is recorded · 400, 403 as above · 503 not possible at the moment.
void add_notice_route(net::Router& router, const std::vector<TsuSettings>& tsus, Compromised compromised);

}  // namespace kokuin::taa
