// SPDX-License-Identifier: Apache-2.0
#include "config/yaml_reader.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "agent/base/file.h"
#include "agent/base/text.h"

namespace wglan::config {
namespace {

constexpr std::string_view kStringTag = "tag:yaml.org,2002:str";
constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";

// Builds the tree from the parser's events. yaml-cpp's own node graph would share aliased nodes (and
// let one contain itself) and hide duplicate keys.
class TreeBuilder final : public YAML::EventHandler {
public:
    explicit TreeBuilder(std::shared_ptr<const std::string> file) : file_(std::move(file)) {}

    void OnDocumentStart(const YAML::Mark&) override {
        anchors_.clear();
        stack_.clear();
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        place(mark, make(mark, Value::Kind::null), anchor);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end())
            throw YAML::ParserException(mark, "an alias stands inside what it names");
        count(mark, found->second.size() - 1);
        if (stack_.size() + found->second.depth() > kMaxDepth) throw YAML::ParserException(mark, kTooDeep);
        place(mark, Value(found->second), 0);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        check_tag(mark, tag);
        Value value = make(mark, Value::Kind::scalar);
        value.quoted = tag == "!" || tag == kStringTag;
        value.text = text;
        place(mark, std::move(value), anchor);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(mark, Value::Kind::sequence, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        check_tag(mark, tag);
        open(mark, Value::Kind::map, anchor);
    }
    void OnMapEnd() override { close(); }

    std::vector<Value> take() { return std::move(documents_); }

private:
    static constexpr const char* kTooDeep = "nested too deeply";
    static constexpr const char* kBadKey = "a key must be plain text";

    struct Frame {
        Value value;
        YAML::anchor_t anchor = 0;
        YAML::Mark mark;
        std::optional<Value> key;  // of a map: read, its value is still to come
    };

    static void check_tag(const YAML::Mark& mark, const std::string& tag) {
        if (!tag.empty() && tag != "!" && tag != "?" && !tag.starts_with(kCoreTag))
            throw YAML::ParserException(mark, "the tag " + quote(tag) + " means nothing here");
    }
    Value make(const YAML::Mark& mark, Value::Kind kind) {
        count(mark, 1);
        Value value;
        value.kind = kind;
        value.where = {file_, mark.line + 1, 0};
        return value;
    }
    void count(const YAML::Mark& mark, std::size_t more) {
        nodes_ += more;
        if (nodes_ > kMaxNodes) throw YAML::ParserException(mark, "too many values");
    }
    void open(const YAML::Mark& mark, Value::Kind kind, YAML::anchor_t anchor) {
        if (stack_.size() >= kMaxDepth) throw YAML::ParserException(mark, kTooDeep);
        stack_.push_back({make(mark, kind), anchor, mark, std::nullopt});
    }
    void close() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        place(frame.mark, std::move(frame.value), frame.anchor);
    }
    // A finished value goes to where it belongs: the document, a list, or a map as key or value.
    void place(const YAML::Mark& mark, Value value, YAML::anchor_t anchor) {
        if (anchor != 0) anchors_[anchor] = value;
        if (stack_.empty()) {
            documents_.push_back(std::move(value));
            return;
        }
        Frame& top = stack_.back();
        if (top.value.kind == Value::Kind::sequence) {
            top.value.items.push_back(std::move(value));
        } else if (!top.key) {
            if (value.kind != Value::Kind::scalar) throw YAML::ParserException(mark, kBadKey);
            top.key = std::move(value);
        } else {
            top.value.members.push_back({top.key->text, top.key->where, std::move(value)});
            top.key.reset();
        }
    }

    std::shared_ptr<const std::string> file_;
    std::vector<Value> documents_;
    std::vector<Frame> stack_;
    std::map<YAML::anchor_t, Value> anchors_;
    std::size_t nodes_ = 0;
};

Failure at_line(const std::string& name, int line, std::string_view what) {
    return fail(ErrorKind::invalid, name + ':' + std::to_string(line) + ": " + std::string(what));
}

// yaml-cpp takes byte 4 for the end of the file, and NUL for UTF-16; YAML 1.2 section 5.1 allows neither.
Result<> check_characters(std::string_view text, const std::string& name) {
    int line = 1;
    for (const char raw : text) {
        const auto c = static_cast<unsigned char>(raw);
        if (c == '\n') ++line;
        if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return at_line(name, line,
                           "a control character (byte " + std::to_string(c) + "); accepted: UTF-8 text");
    }
    return {};
}

}  // namespace

Result<std::vector<Value>> parse_documents(std::string_view text, const std::string& name) {
    if (auto done = check_characters(text, name); !done) return Failure(done.error());
    std::vector<Value> documents;
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        TreeBuilder builder(std::make_shared<const std::string>(name));
        while (parser.HandleNextDocument(builder)) {
        }
        documents = builder.take();
    } catch (const YAML::Exception& e) {
        return at_line(name, e.mark.is_null() ? 1 : e.mark.line + 1, "not YAML: " + escape_controls(e.msg));
    } catch (const std::exception& e) {
        return at_line(name, 1, "not YAML: " + escape_controls(e.what()));
    }
    for (const auto& document : documents)
        if (auto done = check_duplicates(document); !done) return Failure(done.error());
    return documents;
}

Result<std::vector<Value>> read_documents(const std::string& path) {
    auto text = read_file(path, kMaxFileBytes);
    if (!text) return Failure(text.error());
    auto documents = parse_documents(*text, path);
    wipe(*text);
    return documents;
}

}  // namespace wglan::config
