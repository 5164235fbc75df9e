-- What senders of signed events expect of HTTP, and the transcoder's table of statuses has no place for.
-- Only transcoded answers: of gRPC's own, HTTP's status is always 200.
local REFUSED = {
  ["9"] = "422", -- FAILED_PRECONDITION: it could be read, and breaks a rule
  ["11"] = "413", -- OUT_OF_RANGE: it is too large
}

function envoy_on_response(handle)
  local headers = handle:headers()
  if headers:get("content-type") ~= "application/json" then
    return
  end
  local status = headers:get(":status")
  if status == "200" then
    headers:replace(":status", "202")
  elseif status == "400" then
    -- An error's code is nowhere else than in its body, {"code":9,...}, by now.
    local body = handle:body()
    local code = body and string.match(body:getBytes(0, math.min(body:length(), 16)), '^{"code":(%d+)')
    if REFUSED[code] then
      -- `headers` ended when the body was waited for.
      handle:headers():replace(":status", REFUSED[code])
    end
  end
end
