-- May these accounts send now? One answer for each of KEYS: the verdict, for how many seconds it holds, until when, since
-- when there is trouble, and the last error; '' where there is nothing to say.
--   closed   nothing is known against it
--   watched  it may send, and failures are being counted: a success is worth reporting
--   probe    it may send one message, to find out; nobody else may until this one has its answer, or its time is over
--   open     it may not: its vendor does not work, or another process is finding out
--   blocked  it may not: its vendor asked for a pause
-- ARGV: now in Unix seconds ('' stands for this server's clock), the seconds that a probe may take, the seconds after
-- which to ask again while another process probes.

local time = redis.call('TIME')
local now = tonumber(ARGV[1]) or time[1] + time[2] / 1000000
local probe_seconds, look_again_seconds = tonumber(ARGV[2]), tonumber(ARGV[3])

local function stamp(seconds)
    return string.format('%.6f', seconds)
end

local function verdict(key)
    local found = redis.call('HMGET', key, 'blocked_until', 'until', 'probe_until', 'failures')
    local blocked_until, open_until = tonumber(found[1]) or 0, tonumber(found[2])
    if blocked_until > now then
        return 'blocked', blocked_until
    elseif not open_until then
        return found[4] and 'watched' or 'closed', nil
    elseif open_until > now then
        return 'open', open_until
    elseif (tonumber(found[3]) or 0) > now then
        return 'open', math.min(tonumber(found[3]), now + look_again_seconds)
    end
    redis.call('HSET', key, 'probe_until', stamp(now + probe_seconds))
    return 'probe', now + probe_seconds
end

local answers = {}
for place, key in ipairs(KEYS) do
    local word, ends = verdict(key)
    local trouble = redis.call('HMGET', key, 'since', 'error')
    answers[place] = {word, ends and stamp(ends - now) or '', ends and stamp(ends) or '', trouble[1] or '', trouble[2] or ''}
end
return answers
