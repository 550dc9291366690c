--- XAES-256-GCM, HKDF and HMAC over the libcrypto that nginx itself is linked to.
-- The contexts at the top belong to one worker, which runs one request at a time and never yields in here.

local ffi = require "ffi"
local bit = require "bit"
local C = ffi.C

ffi.cdef [[
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_md_st EVP_MD;
typedef struct engine_st ENGINE;
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx);
const EVP_CIPHER *EVP_aes_256_gcm(void);
const EVP_CIPHER *EVP_aes_256_ecb(void);
int EVP_EncryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *impl,
                       const unsigned char *key, const unsigned char *iv);
int EVP_EncryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl);
int EVP_CIPHER_CTX_set_padding(EVP_CIPHER_CTX *ctx, int pad);
int EVP_DecryptInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *impl,
                       const unsigned char *key, const unsigned char *iv);
int EVP_DecryptUpdate(EVP_CIPHER_CTX *ctx, unsigned char *out, int *outl, const unsigned char *in, int inl);
int EVP_DecryptFinal_ex(EVP_CIPHER_CTX *ctx, unsigned char *outm, int *outl);
int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr);
const EVP_MD *EVP_sha256(void);
unsigned char *HMAC(const EVP_MD *md, const void *key, int key_len, const unsigned char *data, size_t data_len,
                    unsigned char *out, unsigned int *out_len);
int RAND_bytes(unsigned char *buf, int num);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
void OPENSSL_cleanse(void *ptr, size_t len);
]]

local M = {}

local KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 24, 16
local LONGEST = 65536
local SET_TAG = 0x11 -- EVP_CTRL_AEAD_SET_TAG

local written = ffi.new("int[1]")
local plain = ffi.new("unsigned char[?]", LONGEST)
local tag = ffi.new("unsigned char[?]", TAG_BYTES)
local block_input = ffi.new("unsigned char[32]")
local message_key = ffi.new("unsigned char[32]")
local digest = ffi.new("unsigned char[32]")
local bytes_t = ffi.typeof("const unsigned char *")

local function new_context()
  return ffi.gc(assert(C.EVP_CIPHER_CTX_new()), C.EVP_CIPHER_CTX_free)
end

local gcm = new_context()
assert(C.EVP_DecryptInit_ex(gcm, C.EVP_aes_256_gcm(), nil, nil, nil) == 1)

--- HMAC-SHA-256 as 32 bytes.
function M.hmac(key, message)
  assert(C.HMAC(C.EVP_sha256(), key, #key, message, #message, digest, nil) ~= nil)
  return ffi.string(digest, 32)
end

--- HKDF-SHA-256 (RFC 5869) without salt, for at most 32 bytes.
function M.hkdf(key, info, length)
  local extracted = M.hmac(("\0"):rep(32), key)
  return M.hmac(extracted, info .. "\1"):sub(1, length)
end

--- Compares in a time that does not tell where the difference is.
function M.equal(a, b)
  return #a == #b and C.CRYPTO_memcmp(a, b, #a) == 0
end

local ID_BYTES, POOL_BYTES = 16, 4096
local pool, taken = ffi.new("unsigned char[?]", POOL_BYTES), POOL_BYTES
local id = ffi.new("char[?]", 2 * ID_BYTES)
local digits = ffi.new("char[16]", "0123456789abcdef")

--- An id of 32 random hex digits. Drawing random bytes for many at once costs a fraction of $request_id.
function M.new_id()
  if taken == POOL_BYTES then
    assert(C.RAND_bytes(pool, POOL_BYTES) == 1)
    taken = 0
  end
  for i = 0, ID_BYTES - 1 do
    local byte = pool[taken + i]
    id[2 * i] = digits[bit.rshift(byte, 4)]
    id[2 * i + 1] = digits[bit.band(byte, 15)]
  end
  taken = taken + ID_BYTES
  return ffi.string(id, 2 * ID_BYTES)
end

--- Doubling in GF(2^128) (NIST SP 800-38B §6.1): from the encrypted zero block to the subkey K1, in place.
local function double(block)
  local carry = block[0] >= 0x80
  for i = 0, 14 do
    block[i] = bit.band(bit.bor(bit.lshift(block[i], 1), bit.rshift(block[i + 1], 7)), 0xff)
  end
  block[15] = bit.bxor(bit.band(bit.lshift(block[15], 1), 0xff), carry and 0x87 or 0)
end

--- Decrypts with the key in `message_key`; nil unless the tag is right.
local function open_gcm(iv, sealed, offset, data)
  local length = #sealed - offset - TAG_BYTES
  local from = ffi.cast(bytes_t, sealed) + offset
  ffi.copy(tag, from + length, TAG_BYTES)
  local decrypted = C.EVP_DecryptInit_ex(gcm, nil, nil, message_key, iv) == 1
    and C.EVP_DecryptUpdate(gcm, nil, written, data, #data) == 1
    and C.EVP_DecryptUpdate(gcm, plain, written, from, length) == 1
    and C.EVP_CIPHER_CTX_ctrl(gcm, SET_TAG, TAG_BYTES, tag) == 1
    -- Not one byte of the plaintext is looked at before this has said that it is genuine.
    and C.EVP_DecryptFinal_ex(gcm, plain + length, written) == 1
  local text = decrypted and ffi.string(plain, length) or nil
  C.OPENSSL_cleanse(plain, length)
  C.OPENSSL_cleanse(message_key, KEY_BYTES)
  return text
end

--- Prepares a 256-bit key for XAES-256-GCM (c2sp.org/XAES-256-GCM, whose step numbers are named).
-- Answers a function (sealed, offset, data): `sealed` holds nonce, ciphertext and tag from `offset` on.
function M.xaes(key)
  assert(#key == KEY_BYTES)
  local blocks = new_context()
  assert(C.EVP_EncryptInit_ex(blocks, C.EVP_aes_256_ecb(), nil, key, nil) == 1)
  assert(C.EVP_CIPHER_CTX_set_padding(blocks, 0) == 1)

  -- Step 2, then steps 3 to 5 as far as they do not depend on the nonce: M1 and M2, each masked with K1.
  local masked = ffi.new("unsigned char[32]")
  assert(C.EVP_EncryptUpdate(blocks, masked, written, ("\0"):rep(16), 16) == 1)
  double(masked)
  ffi.copy(masked + 16, masked, 16)
  for counter, at in ipairs { 0, 16 } do
    masked[at + 1] = bit.bxor(masked[at + 1], counter)
    masked[at + 2] = bit.bxor(masked[at + 2], 0x58)
  end

  return function(sealed, offset, data)
    local length = #sealed - offset
    if length < NONCE_BYTES + TAG_BYTES or length > LONGEST then
      return nil
    end
    local nonce = ffi.cast(bytes_t, sealed) + offset
    ffi.copy(block_input, masked, 32)
    for i = 0, 11 do
      block_input[i + 4] = bit.bxor(block_input[i + 4], nonce[i])
      block_input[i + 20] = bit.bxor(block_input[i + 20], nonce[i])
    end
    if C.EVP_EncryptUpdate(blocks, message_key, written, block_input, 32) ~= 1 then
      return nil
    end
    return open_gcm(nonce + 12, sealed, offset + NONCE_BYTES, data)
  end
end

return M
