"""What every request passes and every answer shares: the edge, problems, pages, the API's description."""
