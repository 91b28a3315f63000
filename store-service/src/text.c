#include "text.h"

#include "limits.h"

/* How many bytes the character at the start of @text has; 0 when there is no valid one other than U+0000. */
static size_t character_length(struct bytes text)
{
    const unsigned char *c = (const unsigned char *)text.data;
    if (c[0] < 0x80) {
        return c[0] != 0;
    }
    size_t len = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    if (c[0] < 0xc2 || c[0] > 0xf4 || text.len < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool is_overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool is_surrogate = c[0] == 0xed && c[1] > 0x9f;
    bool is_beyond = c[0] == 0xf4 && c[1] > 0x8f;
    return is_overlong || is_surrogate || is_beyond ? 0 : len;
}

/* Whether @text begins with eight ASCII characters, none of them U+0000: nearly all texts are made of them. */
static bool begins_with_plain_word(struct bytes text)
{
    uint64_t word;
    if (text.len < sizeof(word)) {
        return false;
    }
    memcpy(&word, text.data, sizeof(word));
    uint64_t borrows =
        word - UINT64_C(0x0101010101010101); /* into the high bit of a byte that is 0 */
    return ((word | borrows) & UINT64_C(0x8080808080808080)) == 0;
}

bool text_is_storable(struct bytes text, size_t *ret_chars)
{
    size_t chars = 0;
    while (text.len > 0) {
        if (begins_with_plain_word(text)) {
            text = bytes_skip(text, sizeof(uint64_t));
            chars += sizeof(uint64_t);
            continue;
        }
        size_t len = character_length(text);
        if (len == 0) {
            return false;
        }
        text = bytes_skip(text, len);
        chars++;
    }
    *ret_chars = chars;
    return true;
}

const char *message_refusal(const struct contract_new_message *message)
{
    size_t sender_chars;
    size_t ignored;
    if (!text_is_storable(message->sender, &sender_chars) ||
        !text_is_storable(message->session, &ignored) ||
        !text_is_storable(message->client_id, &ignored) ||
        !text_is_storable(message->body, &ignored)) {
        return "A text is not valid UTF-8, or holds U+0000.";
    }
    if (sender_chars < 1 || sender_chars > CONTRACT_SENDER_CHARS_MAX ||
        message->sender.len > CONTRACT_SENDER_BYTES_MAX) {
        return "The sender's name has not 1 to 64 characters of at most 128 bytes in all.";
    }
    if (message->client_id.len < 1 || message->client_id.len > CONTRACT_CLIENT_ID_BYTES_MAX) {
        return "The client id has not 1 to 64 bytes.";
    }
    if (message->session.len > STORE_SESSION_BYTES_MAX) {
        return "The session's id is longer than 128 bytes.";
    }
    if (message->body.len > STORE_BODY_BYTES_MAX) {
        return "The text is longer than 65536 bytes.";
    }
    return NULL;
}

const char *room_refusal(struct bytes room)
{
    size_t chars;
    if (room.len < 1 || room.len > CONTRACT_ROOM_BYTES_MAX) {
        return "The room's name has not 1 to 64 bytes.";
    }
    if (!text_is_storable(room, &chars)) {
        return "The room's name is not valid UTF-8, or holds U+0000.";
    }
    return NULL;
}
