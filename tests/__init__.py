"""The tests of Homeport. Rooms: unit, contract, integration, e2e, typing; `servers` starts what they run against."""
