#include "base/config.h"

#include <toml++/toml.h>
#include <algorithm>
#include <charconv>
#include <deque>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "base/der.h"
#include "base/file.h"

namespace kokuin::config {

namespace {

namespace fs = std::filesystem;

struct Unit {
    std::string_view name;
    std::int64_t ns;
};
// Largest first; both reading and writing go through it in this order.
constexpr Unit units[] = {{"d", 86'400'000'000'000},
                          {"h", 3'600'000'000'000},
                          {"m", 60'000'000'000},
                          {"s", 1'000'000'000},
                          {"ms", 1'000'000},
                          {"us", 1'000},
                          {"ns", 1}};

constexpr std::string_view duration_form = "a duration such as \"500ms\", \"90s\", \"1h30m\", \"25h\"";
constexpr std::string_view endpoint_form =
    "\"HOST:PORT\" with a port from 1 to 65535, an IPv6 address in brackets";

std::string_view kind_of(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "a list";
        case toml::node_type::string:
            return "a string";
        case toml::node_type::integer:
            return "an integer";
        case toml::node_type::floating_point:
            return "a number with a point";
        case toml::node_type::boolean:
            return "a boolean";
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time:
            return "a date or time";
        case toml::node_type::none:
            break;
    }
    return "nothing";
}

// How many letters must be inserted, dropped, changed or swapped with their neighbour to make b out of a.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.size()][b.size()];
}

// The candidate that was probably meant; empty if none is near enough to be more than a guess.
template <typename Names>
std::string nearest(std::string_view wrong, const Names& names) {
    std::string best;
    std::size_t least = std::max<std::size_t>(1, wrong.size() / 3) + 1;
    for (const auto& name : names) {
        const std::size_t d = distance(wrong.substr(0, 64), name);
        if (d < least) {
            least = d;
            best = name;
        }
    }
    return best;
}

// What stands in the file may be hostile to a terminal and has no bound; a problem is one short line.
std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 60))
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    if (text.size() > 60) out += "…";
    return out;
}

std::string in_quotes(std::string_view text) {
    return '"' + shown(text) + '"';
}

template <typename Names>
std::string listed(const Names& names) {
    std::string out;
    for (const auto& name : names) out += (out.empty() ? "" : ", ") + std::string(name);
    return out;
}

const toml::table* as_toml(const void* node) {
    return static_cast<const toml::table*>(node);
}

bool is_table_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

}  // namespace

namespace detail {

struct State {
    std::string file;
    fs::path folder;
    std::string content;
    toml::table root;

    struct Problem {
        unsigned line;
        std::string text;
    };
    std::vector<Problem> problems;
    // Tables that were looked at, each with the keys that were asked for. A table nobody looked at is an
    // unknown key of the table above it.
    struct Seen {
        std::string name;
        std::set<std::string, std::less<>> known;
        bool free_names = false;
    };
    std::map<const toml::table*, Seen> seen;

    void report(unsigned line, const std::string& table, std::string_view key, std::string_view what,
                std::string_view allowed) {
        std::string text = file;
        if (line != 0) text += ':' + std::to_string(line);
        text += ": ";
        if (!table.empty()) text += '[' + table + "] ";
        if (!key.empty()) text += shown(key) + ": ";
        text += what;
        if (!allowed.empty()) text.append("; allowed: ").append(allowed);
        // A getter called twice must not tell its problem twice.
        const auto same = [&](const Problem& problem) { return problem.text == text; };
        if (std::none_of(problems.begin(), problems.end(), same)) problems.push_back({line, text});
    }
};

}  // namespace detail

Result<Endpoint> parse_endpoint(std::string_view text) {
    const auto bad = [] { return Error::usage("not an address; allowed: " + std::string(endpoint_form)); };
    Endpoint out;
    std::string_view port;
    if (text.starts_with('[')) {
        const auto end = text.find("]:");
        if (end == std::string_view::npos) return bad();
        out.host = text.substr(1, end - 1);
        port = text.substr(end + 2);
        if (out.host.find(':') == std::string::npos ||
            out.host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string::npos)
            return bad();
    } else {
        const auto colon = text.find(':');
        if (colon == std::string_view::npos || colon == 0) return bad();
        out.host = text.substr(0, colon);
        port = text.substr(colon + 1);
        const auto fits = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '.' || c == '_';
        };
        if (out.host.size() > 253 || !std::all_of(out.host.begin(), out.host.end(), fits)) return bad();
    }
    const auto [rest, fault] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (fault != std::errc() || rest != port.data() + port.size() || out.port == 0) return bad();
    return out;
}

std::string to_text(const Endpoint& endpoint) {
    const bool six = endpoint.host.find(':') != std::string::npos;
    return (six ? '[' + endpoint.host + ']' : endpoint.host) + ':' + std::to_string(endpoint.port);
}

Result<nanoseconds> parse_duration(std::string_view text) {
    const auto bad = [] { return Error::usage("not a duration; allowed: " + std::string(duration_form)); };
    if (text.empty()) return bad();
    std::int64_t total = 0;
    const Unit* next_unit = std::begin(units);
    while (!text.empty()) {
        std::int64_t count = 0;
        if (text.front() < '0' || text.front() > '9') return bad();
        const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (fault != std::errc()) return bad();
        text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
        const auto name = text.substr(0, std::min(text.find_first_of("0123456789"), text.size()));
        const auto* unit = std::find_if(next_unit, std::end(units),
                                        [&](const Unit& candidate) { return candidate.name == name; });
        if (unit == std::end(units)) return bad();
        text.remove_prefix(name.size());
        next_unit = unit + 1;
        std::int64_t part = 0;
        if (__builtin_mul_overflow(count, unit->ns, &part) || __builtin_add_overflow(total, part, &total))
            return Error::usage("a duration beyond 290 years");
    }
    return nanoseconds(total);
}

std::string to_text(nanoseconds duration) {
    std::int64_t rest = duration.count();
    if (rest == 0) return "0s";
    std::string out = rest < 0 ? "-" : "";
    // Days only where they are whole: "25h" reads better than "1d1h".
    for (const auto& unit : units) {
        if (unit.name == "d" && rest % unit.ns != 0) continue;
        const std::int64_t count = std::abs(rest / unit.ns);
        if (count != 0) out += std::to_string(count) + std::string(unit.name);
        rest %= unit.ns;
    }
    return out;
}

// ----------------------------------------------------------------------------------------------------
// Document

Result<Document> Document::load(const std::string& path) {
    auto content = read_file(path, 1U << 20U);
    // A file that isn't there is a wrong --config, not a broken disk.
    if (!content) return Error::usage(content.error().text + "; is it the right --config?");
    return parse(as_text(*content), path);
}

Result<Document> Document::parse(std::string_view text, const std::string& file) {
    auto state = std::make_shared<detail::State>();
    state->file = file;
    state->content = text;
    try {
        state->folder = fs::absolute(fs::path(file)).parent_path();
        state->root = toml::parse(text);
    } catch (const toml::parse_error& fault) {
        return Error::usage(file + ':' + std::to_string(fault.source().begin.line) +
                            ": not TOML: " + std::string(shown(fault.description())));
    } catch (const std::exception& fault) {
        return Error::usage(file + ": can't be read as TOML: " + shown(fault.what()));
    }
    state->seen[&state->root];
    return Document(std::move(state));
}

Table Document::root() const {
    return Table(state_, &state_->root, "", 0);
}

const std::string& Document::content() const {
    return state_->content;
}

const std::string& Document::folder() const {
    return state_->folder.native();
}

std::vector<std::string> Document::problems() {
    auto all = state_->problems;
    for (const auto& [table, seen] : state_->seen) {
        if (seen.free_names) continue;
        for (const auto& [key, value] : *table) {
            if (seen.known.contains(key.str())) continue;
            const auto hint = nearest(key.str(), seen.known);
            detail::State scratch;
            scratch.file = state_->file;
            scratch.report(key.source().begin.line, seen.name, key.str(),
                           value.is_table() ? "unknown table" : "unknown key",
                           (hint.empty() ? "" : "did you mean " + hint + "? ") +
                               (seen.known.empty() ? "nothing" : listed(seen.known)));
            all.push_back(scratch.problems.front());
        }
    }
    std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.line < b.line; });
    std::vector<std::string> out;
    for (auto& problem : all) out.push_back(std::move(problem.text));
    return out;
}

Done Document::finish() {
    const auto all = problems();
    if (all.empty()) return {};
    std::string text;
    for (const auto& problem : all) text += (text.empty() ? "" : "\n") + problem;
    return Error::usage(std::move(text));
}

// -------------------------------------------------------------------------------------------------------
// Table

bool Table::has(std::string_view key) const {
    return node_ && as_toml(node_)->contains(key);
}

void Table::wrong(std::string_view key, std::string_view what, std::string_view allowed) {
    unsigned line = line_;
    if (node_) {
        if (const auto found = as_toml(node_)->find(key); found != as_toml(node_)->end())
            line = found->first.source().begin.line;
    }
    state_->report(line, name_, key, what, allowed);
}

void Table::problem(std::string_view key, std::string_view what) {
    wrong(key, what, "");
}

// The node of a key, which is known from now on; a missing one is reported if it is required.
const void* Table::find(std::string_view key, bool required, std::string_view allowed) {
    if (node_) {
        state_->seen[as_toml(node_)].known.emplace(key);
        if (const auto* node = as_toml(node_)->get(key)) return node;
    }
    if (required) wrong(key, "missing", allowed);
    return nullptr;
}

std::optional<std::string> Table::text(std::string_view key, bool required, std::string_view allowed) {
    const auto* node = static_cast<const toml::node*>(find(key, required, allowed));
    if (!node) return std::nullopt;
    const auto* value = node->as_string();
    if (!value) {
        wrong(key, "is " + std::string(kind_of(*node)), allowed);
        return std::nullopt;
    }
    if (value->get().empty()) {
        wrong(key, "is empty", allowed);
        return std::nullopt;
    }
    if (value->get().find('\0') != std::string::npos) {
        wrong(key, "has a NUL in it", allowed);
        return std::nullopt;
    }
    return value->get();
}

std::string Table::string(std::string_view key) {
    return text(key, true, "a string").value_or("");
}
std::string Table::string(std::string_view key, std::string_view fallback) {
    return text(key, false, "a string").value_or(std::string(fallback));
}
std::optional<std::string> Table::maybe_string(std::string_view key) {
    return text(key, false, "a string");
}

std::optional<std::int64_t> Table::number(std::string_view key, std::int64_t min, std::int64_t max,
                                          bool required) {
    const auto allowed = "an integer from " + std::to_string(min) + " to " + std::to_string(max);
    const auto* node = static_cast<const toml::node*>(find(key, required, allowed));
    if (!node) return std::nullopt;
    const auto* value = node->as_integer();
    if (!value) {
        wrong(key, "is " + std::string(kind_of(*node)), allowed);
        return std::nullopt;
    }
    if (value->get() < min || value->get() > max) {
        wrong(key, std::to_string(value->get()) + " is out of range", allowed);
        return std::nullopt;
    }
    return value->get();
}
std::int64_t Table::integer(std::string_view key, std::int64_t min, std::int64_t max) {
    return number(key, min, max, true).value_or(min);
}
std::int64_t Table::integer(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t fallback) {
    return number(key, min, max, false).value_or(fallback);
}

std::optional<bool> Table::flag(std::string_view key, bool required) {
    const auto* node = static_cast<const toml::node*>(find(key, required, "true, false"));
    if (!node) return std::nullopt;
    const auto* value = node->as_boolean();
    if (!value) {
        wrong(key, "is " + std::string(kind_of(*node)), "true, false");
        return std::nullopt;
    }
    return value->get();
}
bool Table::boolean(std::string_view key) {
    return flag(key, true).value_or(false);
}
bool Table::boolean(std::string_view key, bool fallback) {
    return flag(key, false).value_or(fallback);
}

std::optional<nanoseconds> Table::span(std::string_view key, nanoseconds min, nanoseconds max,
                                       bool required) {
    const auto allowed =
        std::string(duration_form) + " from " + config::to_text(min) + " to " + config::to_text(max);
    const auto value = text(key, required, allowed);
    if (!value) return std::nullopt;
    const auto duration = parse_duration(*value);
    if (!duration) {
        wrong(key, in_quotes(*value) + " is not a duration", allowed);
        return std::nullopt;
    }
    if (*duration < min || *duration > max) {
        wrong(key, in_quotes(*value) + " is out of range", allowed);
        return std::nullopt;
    }
    return *duration;
}
nanoseconds Table::duration(std::string_view key, nanoseconds min, nanoseconds max) {
    return span(key, min, max, true).value_or(min);
}
nanoseconds Table::duration(std::string_view key, nanoseconds min, nanoseconds max, nanoseconds fallback) {
    return span(key, min, max, false).value_or(fallback);
}

std::string Table::resolve(std::string_view path) const {
    return (state_->folder / fs::path(path)).lexically_normal().native();
}
std::string Table::path(std::string_view key) {
    const auto value = text(key, true, "a path");
    return value ? resolve(*value) : "";
}
std::string Table::path(std::string_view key, std::string_view fallback) {
    return resolve(text(key, false, "a path").value_or(std::string(fallback)));
}
std::optional<std::string> Table::maybe_path(std::string_view key) {
    const auto value = text(key, false, "a path");
    if (!value) return std::nullopt;
    return resolve(*value);
}

std::optional<std::string> Table::oid_text(std::string_view key, bool required) {
    constexpr std::string_view allowed = "a dotted object identifier such as \"1.3.6.1.4.1.1291.1.1.1.1\"";
    auto value = text(key, required, allowed);
    if (!value) return std::nullopt;
    if (!der::is_oid(*value)) {
        wrong(key, in_quotes(*value) + " is not an object identifier", allowed);
        return std::nullopt;
    }
    return value;
}
std::string Table::oid(std::string_view key) {
    return oid_text(key, true).value_or("");
}
std::string Table::oid(std::string_view key, std::string_view fallback) {
    return oid_text(key, false).value_or(std::string(fallback));
}

std::optional<Endpoint> Table::maybe_endpoint(std::string_view key) {
    const auto value = text(key, false, endpoint_form);
    if (!value) return std::nullopt;
    const auto endpoint = parse_endpoint(*value);
    if (!endpoint) {
        wrong(key, in_quotes(*value) + " is not an address", endpoint_form);
        return std::nullopt;
    }
    return *endpoint;
}
Endpoint Table::endpoint(std::string_view key) {
    if (!has(key)) find(key, true, endpoint_form);
    return maybe_endpoint(key).value_or(Endpoint{});
}
Endpoint Table::endpoint(std::string_view key, const Endpoint& fallback) {
    return maybe_endpoint(key).value_or(fallback);
}

std::optional<std::vector<std::string>> Table::texts(
    std::string_view key, bool required, std::size_t at_least, std::string_view allowed,
    const std::function<std::optional<std::string>(const std::string&)>& convert) {
    const auto* node = static_cast<const toml::node*>(find(key, required, allowed));
    if (!node) return std::nullopt;
    const auto* list = node->as_array();
    if (!list) {
        wrong(key, "is " + std::string(kind_of(*node)), allowed);
        return std::nullopt;
    }
    std::vector<std::string> out;
    for (const auto& element : *list) {
        const auto* value = element.as_string();
        if (!value || value->get().empty()) {
            wrong(key,
                  value ? "has an empty string in it" : "has " + std::string(kind_of(element)) + " in it",
                  allowed);
            return std::nullopt;
        }
        auto converted = convert(value->get());
        if (!converted) {
            wrong(key, "has " + in_quotes(value->get()) + " in it", allowed);
            return std::nullopt;
        }
        if (std::find(out.begin(), out.end(), *converted) != out.end()) {
            wrong(key, "has " + in_quotes(value->get()) + " twice", allowed);
            return std::nullopt;
        }
        out.push_back(std::move(*converted));
    }
    if (out.size() < at_least) {
        wrong(key, "has too few members", std::string(allowed) + ", at least " + std::to_string(at_least));
        return std::nullopt;
    }
    return out;
}

std::vector<std::string> Table::strings(std::string_view key, std::size_t at_least) {
    return texts(key, true, at_least, "a list of strings",
                 [](const std::string& text) { return std::optional(text); })
        .value_or(std::vector<std::string>{});
}
std::vector<std::string> Table::strings(std::string_view key, const std::vector<std::string>& fallback,
                                        std::size_t at_least) {
    return texts(key, false, at_least, "a list of strings",
                 [](const std::string& text) { return std::optional(text); })
        .value_or(fallback);
}
std::vector<std::string> Table::paths(std::string_view key, std::size_t at_least) {
    return texts(key, true, at_least, "a list of paths",
                 [this](const std::string& text) { return std::optional(resolve(text)); })
        .value_or(std::vector<std::string>{});
}
std::vector<std::string> Table::paths(std::string_view key, const std::vector<std::string>& fallback,
                                      std::size_t at_least) {
    auto read = texts(key, false, at_least, "a list of paths",
                      [this](const std::string& text) { return std::optional(resolve(text)); });
    if (read) return std::move(*read);
    std::vector<std::string> out;
    for (const auto& path : fallback) out.push_back(resolve(path));
    return out;
}
namespace {
std::optional<std::string> only_oid(const std::string& text) {
    if (!der::is_oid(text)) return std::nullopt;
    return text;
}
}  // namespace
std::vector<std::string> Table::oids(std::string_view key, std::size_t at_least) {
    return texts(key, true, at_least, "a list of dotted object identifiers", only_oid)
        .value_or(std::vector<std::string>{});
}
std::vector<std::string> Table::oids(std::string_view key, const std::vector<std::string>& fallback,
                                     std::size_t at_least) {
    return texts(key, false, at_least, "a list of dotted object identifiers", only_oid).value_or(fallback);
}

std::optional<std::size_t> Table::choice_index(std::string_view key,
                                               const std::vector<std::string_view>& names, bool required) {
    const auto allowed = listed(names);
    const auto value = text(key, required, allowed);
    if (!value) return std::nullopt;
    const auto found = std::find(names.begin(), names.end(), *value);
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    const auto hint = nearest(*value, names);
    wrong(key, in_quotes(*value) + " is not known",
          (hint.empty() ? "" : "did you mean " + hint + "? ") + allowed);
    return std::nullopt;
}

std::optional<std::vector<std::size_t>> Table::choice_indices(std::string_view key,
                                                              const std::vector<std::string_view>& names) {
    const auto read = texts(key, false, 1, "a list of " + listed(names),
                            [&](const std::string& text) -> std::optional<std::string> {
                                if (std::find(names.begin(), names.end(), text) == names.end())
                                    return std::nullopt;
                                return text;
                            });
    if (!read) return std::nullopt;
    std::vector<std::size_t> out;
    for (const auto& text : *read)
        out.push_back(static_cast<std::size_t>(std::find(names.begin(), names.end(), text) - names.begin()));
    return out;
}

Table Table::table(std::string_view key) {
    if (auto there = maybe_table(key)) return std::move(*there);
    return Table(state_, nullptr, name_.empty() ? std::string(key) : name_ + '.' + std::string(key), line_);
}

std::optional<Table> Table::maybe_table(std::string_view key) {
    const auto* node = static_cast<const toml::node*>(find(key, false, ""));
    if (!node) return std::nullopt;
    const auto path = name_.empty() ? std::string(key) : name_ + '.' + std::string(key);
    const auto* table = node->as_table();
    if (!table) {
        wrong(key, "is " + std::string(kind_of(*node)), "a table: [" + path + "]");
        return std::nullopt;
    }
    state_->seen[table].name = path;
    // A table that only stands in the names of tables below it has no line of its own.
    return Table(state_, table, path, node->source().begin.line);
}

std::vector<Table> Table::tables(std::string_view key, std::size_t at_least) {
    const auto path = name_.empty() ? std::string(key) : name_ + '.' + std::string(key);
    const auto allowed =
        "tables: [[" + path + "]]" + (at_least > 0 ? ", at least " + std::to_string(at_least) : "");
    const auto* node = static_cast<const toml::node*>(find(key, at_least > 0, allowed));
    std::vector<Table> out;
    if (!node) return out;
    const auto* list = node->as_array();
    if (!list || !std::all_of(list->begin(), list->end(),
                              [](const toml::node& member) { return member.is_table(); })) {
        wrong(key, "is " + std::string(list ? "a list of something else" : kind_of(*node)), allowed);
        return out;
    }
    for (std::size_t i = 0; i < list->size(); ++i) {
        const auto* table = list->get(i)->as_table();
        const auto name = path + '[' + std::to_string(i + 1) + ']';
        state_->seen[table].name = name;
        out.push_back(Table(state_, table, name, table->source().begin.line));
    }
    if (out.size() < at_least) wrong(key, "too few", allowed);
    return out;
}

std::vector<std::pair<std::string, Table>> Table::named_tables(std::string_view key, std::size_t at_least) {
    std::vector<std::pair<std::string, Table>> out;
    const auto path = name_.empty() ? std::string(key) : name_ + '.' + std::string(key);
    const auto allowed =
        "tables: [" + path + ".NAME]" + (at_least > 0 ? ", at least " + std::to_string(at_least) : "");
    auto all = maybe_table(key);
    if (all) {
        const auto* node = as_toml(all->node_);
        state_->seen[node].free_names = true;
        for (const auto& [name, member] : *node) {
            const auto* table = member.as_table();
            if (!table) {
                all->wrong(name.str(), "is " + std::string(kind_of(member)), allowed);
                continue;
            }
            out.push_back(all->named_table(table, name.str(), name.source().begin.line));
        }
        sort_by_line(out);
    }
    if (out.size() < at_least && !(all && !as_toml(all->node_)->empty())) wrong(key, "missing", allowed);
    return out;
}

std::vector<std::pair<std::string, Table>> Table::inner_tables() {
    std::vector<std::pair<std::string, Table>> out;
    if (!node_) return out;
    for (const auto& [name, member] : *as_toml(node_)) {
        const auto* table = member.as_table();
        if (!table) continue;
        state_->seen[as_toml(node_)].known.emplace(name.str());
        out.push_back(named_table(table, name.str(), name.source().begin.line));
    }
    sort_by_line(out);
    return out;
}

std::pair<std::string, Table> Table::named_table(const void* member, std::string_view name, unsigned line) {
    if (!is_table_name(name)) wrong(name, "can't be a name", "1 to 64 of a to z, 0 to 9, '-', '_'");
    const auto full = name_ + '.' + shown(name);
    state_->seen[as_toml(member)].name = full;
    return {std::string(name), Table(state_, member, full, line)};
}

void Table::sort_by_line(std::vector<std::pair<std::string, Table>>& tables) {
    std::stable_sort(tables.begin(), tables.end(),
                     [](const auto& a, const auto& b) { return a.second.line_ < b.second.line_; });
}

}  // namespace kokuin::config
