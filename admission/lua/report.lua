-- What one process has seen of one account since its last report: did the vendor answer, how often in a row did it
-- fail after that, was one of these requests the probe, and for how long does the vendor want peace?
-- KEYS: the account's record, the index of records in trouble.
-- ARGV: now ('' stands for this server's clock), answered (0 or 1), failures, probe (0 or 1), seconds to stay away,
-- the last error, whose account it is, failures that open, first and longest seconds of being open, seconds to remember.

local record, index = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] + time[2] / 1000000
local answered, failures, probe = ARGV[2] == '1', tonumber(ARGV[3]), ARGV[4] == '1'
local away_seconds, error, whose = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local limit, shortest, longest, memory = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])

local function write(...)
    redis.call('HSET', record, 'tenant', whose, ...)
end

local function stamp(seconds)
    return string.format('%.6f', seconds)
end

local function open()
    local times = redis.call('HINCRBY', record, 'times', 1)
    local seconds = math.min(longest, shortest * 2 ^ (times - 1))
    redis.call('HSETNX', record, 'since', stamp(now))
    redis.call('HDEL', record, 'probe_until')
    write('until', stamp(now + seconds))
end

if answered then
    redis.call('HDEL', record, 'failures', 'times', 'since', 'until', 'probe_until', 'error')
elseif probe then
    redis.call('HDEL', record, 'probe_until')
end
if failures > 0 then
    write('error', error)
    local is_open = redis.call('HEXISTS', record, 'until') == 1
    if is_open and probe then
        open()
    elseif not is_open and redis.call('HINCRBY', record, 'failures', failures) >= limit then
        open()
    end
    -- What began before it opened and fails after says nothing new.
end
if away_seconds > 0 then
    local blocked_until = tonumber(redis.call('HGET', record, 'blocked_until')) or 0
    write('blocked_until', stamp(math.max(blocked_until, now + away_seconds)))
end

local blocked_until = tonumber(redis.call('HGET', record, 'blocked_until')) or 0
local open_until = tonumber(redis.call('HGET', record, 'until')) or 0
if redis.call('HEXISTS', record, 'failures') == 0 and open_until == 0 and blocked_until <= now then
    redis.call('DEL', record)
else
    redis.call('EXPIRE', record, math.ceil(math.max(memory, math.max(blocked_until, open_until) - now + memory)))
end
if open_until > 0 then
    redis.call('SADD', index, record)
else
    redis.call('SREM', index, record)
end
return open_until > 0 and 1 or 0
