/** Takes a lock, or finds that it is ours already because the answer to the first try was lost. */
export const acquireScript = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0`

/** Frees a lock only if it is still ours: a late holder must not free the lock of the next one. */
export const releaseScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

/** Counts and starts the window with the first use, in one step, so that no counter is left without an end. */
export const countScript = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count`

/**
 * Keeps ended sessions, each scored with the second at which it may be forgotten by the clock of the server, and
 * notifies every replica of those that it did not hold, or not for as long.
 */
export const endScript = `
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'GT', 'CH', now + tonumber(ARGV[i + 1]), ARGV[i]) == 1 then
    redis.call('PUBLISH', KEYS[2], ARGV[i] .. ' ' .. ARGV[i + 1])
  end
end
local surplus = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[1])
if surplus > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, surplus - 1) end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then redis.call('EXPIREAT', KEYS[1], last) end
return 1`

/**
 * One page of the ended sessions, longest life first: what is added meanwhile moves entries to later pages, where they
 * are read again, never to earlier ones, where they would be missed.
 */
export const readScript = `
local now = tonumber(redis.call('TIME')[1])
local page = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'REV', 'WITHSCORES')
local lines = {}
for i = 1, #page, 2 do
  local left = tonumber(page[i + 1]) - now
  if left > 0 then lines[#lines + 1] = page[i] .. ' ' .. string.format('%d', left) end
end
return lines`
