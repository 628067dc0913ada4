// Configuration files: TOML, read strictly. A program reads every key it knows through a Table; what is wrong
// is collected, not thrown, so that an operator sees all mistakes at once; Document::finish() then tells
// them, and also every key nobody asked for. Each problem is one line:
//
//     FILE:LINE: [table] key: what is wrong; allowed: what is
//
// A getter that has to report a problem still returns something (the fallback, or an empty value in range),
// so a program reads all its keys in a straight line and acts on none before finish() said yes:
//
//     auto document = config::Document::load(path);
//     if (!document) return document.error();
//     auto http = document->root().table("http");
//     options.address = http.endpoint("listen", {"127.0.0.1", 3161});
//     options.idle = http.duration("idle_timeout", 100ms, 1h, 15s);
//     if (auto done = document->finish(); !done) return done.error();
//
// Not thread-safe: for one thread, at start.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace kokuin::config {

/// Where a listener binds or a client connects, written "HOST:PORT" or "[IPv6]:PORT".
struct Endpoint {
    std::string host;  ///< without brackets
    std::uint16_t port = 0;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
/// Reads an Endpoint; the error says what is allowed.
Result<Endpoint> parse_endpoint(std::string_view text);
/// "HOST:PORT", an IPv6 address in brackets.
std::string to_text(const Endpoint& endpoint);

/// Reads "1h30m", "25h", "500ms": whole numbers with the units d, h, m, s, ms, us, ns, largest first; up to
/// 290 years.
Result<nanoseconds> parse_duration(std::string_view text);
/// The shortest text that parse_duration reads back: "25h", "1h30m", "0s".
std::string to_text(nanoseconds duration);

namespace detail {
struct State;
}

/// One table of the file. A cheap handle: copies name the same table; valid also after its Document is gone.
/// Every getter marks its key as known. Getters without `fallback` demand the key; those with one use it
/// where the key is absent. All ranges are inclusive.
class Table {
  public:
    /// True if the key stands in the file (whatever its value).
    [[nodiscard]] bool has(std::string_view key) const;
    /// Path of the table in the file: "http.tls", "policy.a2", "tsu[2]" (counted from 1); empty for the root.
    [[nodiscard]] const std::string& name() const { return name_; }
    /// True if the table stands in the file; false where table() was asked for one that doesn't.
    [[nodiscard]] bool present() const { return node_ != nullptr; }

    std::string string(std::string_view key);  ///< not empty
    std::string string(std::string_view key, std::string_view fallback);
    std::optional<std::string> maybe_string(std::string_view key);

    std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max);
    std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t fallback);

    bool boolean(std::string_view key);
    bool boolean(std::string_view key, bool fallback);

    /// A string as parse_duration reads it.
    nanoseconds duration(std::string_view key, nanoseconds min, nanoseconds max);
    nanoseconds duration(std::string_view key, nanoseconds min, nanoseconds max, nanoseconds fallback);

    /// A path; relative ones are resolved against the folder the file stands in (not against the working
    /// directory). Whether something is there is not looked at.
    std::string path(std::string_view key);
    std::string path(std::string_view key, std::string_view fallback);
    std::optional<std::string> maybe_path(std::string_view key);

    /// A dotted object identifier.
    std::string oid(std::string_view key);
    std::string oid(std::string_view key, std::string_view fallback);

    Endpoint endpoint(std::string_view key);
    Endpoint endpoint(std::string_view key, const Endpoint& fallback);
    std::optional<Endpoint> maybe_endpoint(std::string_view key);

    /// A list of strings, none empty, none twice, at least `at_least` of them.
    std::vector<std::string> strings(std::string_view key, std::size_t at_least = 1);
    std::vector<std::string> strings(std::string_view key, const std::vector<std::string>& fallback,
                                     std::size_t at_least = 0);
    /// The same of paths (as path()) and of OIDs.
    std::vector<std::string> paths(std::string_view key, std::size_t at_least = 1);
    std::vector<std::string> paths(std::string_view key, const std::vector<std::string>& fallback,
                                   std::size_t at_least = 0);
    std::vector<std::string> oids(std::string_view key, std::size_t at_least = 1);
    std::vector<std::string> oids(std::string_view key, const std::vector<std::string>& fallback,
                                  std::size_t at_least = 0);

    /// One of these words, each with its meaning; the problem lists the words.
    template <typename E>
    using Choices = std::initializer_list<std::pair<std::string_view, E>>;
    template <typename E>
    E choice(std::string_view key, Choices<E> choices) {
        const auto index = choice_index(key, names_of<E>(choices), true);
        return index ? (choices.begin() + *index)->second : choices.begin()->second;
    }
    template <typename E>
    E choice(std::string_view key, Choices<E> choices, E fallback) {
        const auto index = choice_index(key, names_of<E>(choices), false);
        return index ? (choices.begin() + *index)->second : fallback;
    }
    /// A list of such words, none twice, at least one.
    template <typename E>
    std::vector<E> choices(std::string_view key, Choices<E> all, const std::vector<E>& fallback) {
        const auto indices = choice_indices(key, names_of<E>(all));
        if (!indices) return fallback;
        std::vector<E> out;
        for (const auto index : *indices) out.push_back((all.begin() + index)->second);
        return out;
    }

    /// A string that `parse` (std::string_view -> Result<T>) turns into a value; the text of its error is the
    /// problem.
    template <typename T, typename Parse>
    std::optional<T> parsed(std::string_view key, Parse&& parse, bool required) {
        auto text = required ? std::optional<std::string>(string(key)) : maybe_string(key);
        if (!text || text->empty()) return std::nullopt;
        Result<T> value = parse(std::string_view(*text));
        if (value) return std::move(*value);
        problem(key, value.error().text);
        return std::nullopt;
    }

    /// The table [key]. Where it is absent, an empty one: its fallbacks hold, and keys it demands are missed.
    Table table(std::string_view key);
    /// The same, or nothing where it is absent.
    std::optional<Table> maybe_table(std::string_view key);
    /// The tables [[key]], in the order of the file.
    std::vector<Table> tables(std::string_view key, std::size_t at_least = 0);
    /// The tables [key.NAME], whose names the operator chooses, in the order of the file. Names are made of
    /// a–z, 0–9, '-' and '_' (they appear in paths of URLs), else a problem.
    std::vector<std::pair<std::string, Table>> named_tables(std::string_view key, std::size_t at_least = 0);
    /// The tables [THIS.NAME] that stand in this table beside its keys; names as in named_tables().
    std::vector<std::pair<std::string, Table>> inner_tables();

    /// Reports a problem of a key that only the caller can see (it contradicts another key, …): what is wrong
    /// and, after "; allowed: ", what is.
    void problem(std::string_view key, std::string_view what);

  private:
    friend class Document;
    Table(std::shared_ptr<detail::State> state, const void* node, std::string name, unsigned line)
        : state_(std::move(state)), node_(node), name_(std::move(name)), line_(line) {}

    template <typename E>
    static std::vector<std::string_view> names_of(Choices<E> choices) {
        std::vector<std::string_view> names;
        for (const auto& choice : choices) names.push_back(choice.first);
        return names;
    }
    const void* find(std::string_view key, bool required, std::string_view allowed);
    std::optional<std::string> text(std::string_view key, bool required, std::string_view allowed);
    std::optional<std::vector<std::string>> texts(
        std::string_view key, bool required, std::size_t at_least, std::string_view allowed,
        const std::function<std::optional<std::string>(const std::string&)>& convert);
    std::optional<std::int64_t> number(std::string_view key, std::int64_t min, std::int64_t max,
                                       bool required);
    std::optional<nanoseconds> span(std::string_view key, nanoseconds min, nanoseconds max, bool required);
    std::optional<bool> flag(std::string_view key, bool required);
    std::optional<std::string> oid_text(std::string_view key, bool required);
    std::optional<std::size_t> choice_index(std::string_view key, const std::vector<std::string_view>& names,
                                            bool required);
    std::optional<std::vector<std::size_t>> choice_indices(std::string_view key,
                                                           const std::vector<std::string_view>& names);
    std::pair<std::string, Table> named_table(const void* member, std::string_view name, unsigned line);
    static void sort_by_line(std::vector<std::pair<std::string, Table>>& tables);
    [[nodiscard]] std::string resolve(std::string_view path) const;
    void wrong(std::string_view key, std::string_view what, std::string_view allowed);

    std::shared_ptr<detail::State> state_;
    const void* node_;  // toml::table, owned by *state_; nullptr for a table that isn't there
    std::string name_;
    unsigned line_;  // of the table's head, for keys that are missing; 0 where there is none
};

/// A configuration file. Movable; not copyable.
class Document {
  public:
    /// Reads and parses a file of at most 1 MiB. The error is one line and names file and, for bad TOML, the
    /// line.
    static Result<Document> load(const std::string& path);
    /// The same of a text. `file` is what problems name; relative paths resolve against its folder.
    static Result<Document> parse(std::string_view text, const std::string& file);

    /// The table everything stands in.
    [[nodiscard]] Table root() const;
    /// Done if nothing was wrong and no key stands in the file that was not asked for; otherwise Kind::usage
    /// and all problems in the order of the file, one a line. An unknown key is told with the one it probably
    /// should be and all that the table may have. To be called once everything has been read.
    [[nodiscard]] Done finish();
    /// What finish() would tell, one element a problem (for --json and tests).
    [[nodiscard]] std::vector<std::string> problems();
    /// The octets that were read, as they stood in the file.
    [[nodiscard]] const std::string& content() const;
    /// The folder relative paths resolve against; absolute.
    [[nodiscard]] const std::string& folder() const;

  private:
    explicit Document(std::shared_ptr<detail::State> state) : state_(std::move(state)) {}
    std::shared_ptr<detail::State> state_;
};

}  // namespace kokuin::config
