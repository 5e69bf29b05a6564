"""Worker processes, and who is served by them when: admission, fair shares, deadlines, the quality ladder."""
